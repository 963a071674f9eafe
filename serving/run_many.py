"""Several candidates one after the other: which ones, what became of each, and one table at the end."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.config import AgentConfig
from agent.errors import ConfigError, NewsClassifierError
from agent.providers import create_provider
from eval.candidates import all_candidates, load_candidate
from eval.console import err
from eval.evaluation import EvaluationRecord
from eval.lifecycle import retirement_of
from eval.render import with_interval
from registry.commands import exit_code
from registry.register import Registration

Several = Literal["both", "all"]


class Result(NamedTuple):
    """What became of one candidate."""

    name: str
    evaluation: EvaluationRecord | None = None
    registration: Registration | None = None
    problem: str | None = None
    """Why there is no evaluation, or no registration."""

    @property
    def exit_code(self) -> int:
        """0 when an alias was given, an identical version exists or none was wanted; 1 otherwise."""
        if self.problem:
            return 1
        return exit_code(self.registration) if self.registration else 0

    @property
    def outcome(self) -> str:
        """In a word or two."""
        if self.problem:
            return "failed"
        if self.registration is None:
            return "evaluated"
        if self.registration.version is None:
            return "identical"
        return f"v{self.registration.version} {self.registration.alias or 'no alias'}"

    @property
    def reason(self) -> str:
        """Why."""
        return self.problem or (self.registration.reason if self.registration else "not registered, as asked")


def chosen_candidates(several: Several, provider: str | None, model: str | None) -> list[AgentConfig]:
    """The candidates to run.

    Args:
        several: `both` for the default of each LLM track, `all` for all that have a file and a key.
        provider: For `both`, the external one instead of its default.
        model: For `both`, the model inside Databricks instead of its default.

    Raises:
        ConfigError: there is none, or `all` was asked for together with a provider or a model.
    """
    if several == "both":
        return [load_candidate(provider=provider or "openai"), load_candidate(provider="databricks", model=model)]
    if provider or model:
        raise ConfigError("--track all runs every candidate; --provider and --model choose one. Give one of them.")
    found = list(runnable_candidates())
    if not found:
        raise ConfigError("No candidate can run. Set a key, see config/.env.example, or run the local track.")
    return found


def runnable_candidates() -> Iterator[AgentConfig]:
    """The candidates that have a file, a key and a model that still lives; the others are named with the reason."""
    reasons: dict[str, str | None] = {}
    for config in all_candidates():
        if config.provider not in reasons:
            reasons[config.provider] = missing_key(config)
        retirement = retirement_of(config)
        reason = reasons[config.provider]
        if retirement and retirement.days_left() <= 0:
            reason = f"{config.model} was retired on {retirement.retires}."
        if reason:
            err.print(f"Left out: {config.name}. {reason}", soft_wrap=True)
        else:
            yield config


def missing_key(config: AgentConfig) -> str | None:
    """What the environment lacks for a provider; None when nothing."""
    if config.artifact:
        return None
    try:
        create_provider(config, None).open()
    except ConfigError as error:
        return str(error)
    return None


def run_each(candidates: Sequence[AgentConfig], run_one: Callable[[AgentConfig], Result]) -> list[Result]:
    """Run one after the other; one that fails does not keep the rest from running."""
    results = []
    for config in candidates:
        try:
            results.append(run_one(config))
        except NewsClassifierError as error:
            results.append(Result(config.name, problem=str(error)))
        err.print(f"{config.name}: {results[-1].outcome}: {results[-1].reason}", soft_wrap=True)
    return results


def results_table(results: Sequence[Result]) -> Table:
    """The figures of each candidate and what became of it."""
    table = Table(title=f"{len(results)} candidates", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("candidate", no_wrap=True)
    for column in ("category", "sentiment", "p95 ms", "$ per 1k"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for result in results:
        metrics = result.evaluation.metrics if result.evaluation else {}
        table.add_row(
            result.name,
            with_interval(metrics, "category_accuracy"),
            with_interval(metrics, "sentiment_accuracy"),
            f"{metrics['latency_ms_p95']:.0f}" if "latency_ms_p95" in metrics else "-",
            f"{metrics['cost_usd_per_1k']:.4f}" if "cost_usd_per_1k" in metrics else "-",
            result.outcome,
        )
    return table
