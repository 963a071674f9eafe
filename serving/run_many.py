"""Several candidates one after the other: which ones, what became of each, and one table at the end."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from mlflow.exceptions import MlflowException
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.config import AgentConfig
from agent.errors import ConfigError, NewsClassifierError
from agent.redaction import redact
from eval.candidates import load_candidate
from eval.commands import RunOptions, say_left_out
from eval.console import err
from eval.evaluation import EvaluationRecord
from eval.render import with_interval
from eval.runnable import runnable_candidates
from eval.secret_scope import use_secrets
from registry.commands import exit_code
from registry.registrar import Registration

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


def chosen_candidates(several: Several, options: RunOptions) -> list[AgentConfig]:
    """The candidates to run: of `both` the default of each LLM track, of `all` those that have a file and a key.

    For `both`, a provider is the external one instead of its default, a model the one inside Databricks.

    Raises:
        ConfigError: there is none, or the options choose a single one.
    """
    if options.agent_file or (several == "all" and (options.provider or options.model)):
        raise ConfigError(f"--track {several} runs several candidates; other options choose one. Give one of them.")
    if several == "both":
        external = load_candidate(provider=options.provider or "openai")
        if external.track != "external":
            raise ConfigError(f"Provider {options.provider!r} is not external. Give openai or anthropic, or none.")
        return [external, load_candidate(provider="databricks", model=options.model)]
    found = list(runnable_candidates(use_secrets if options.use_secrets else None, say_left_out))
    if not found:
        raise ConfigError("No candidate can run. Set a key, see config/.env.example, or run the local track.")
    return found


def run_each(candidates: Sequence[AgentConfig], run_one: Callable[[AgentConfig], Result]) -> list[Result]:
    """Run one after the other; one that fails does not keep the rest from running."""
    results = []
    for config in candidates:
        try:
            results.append(run_one(config))
        except NewsClassifierError as error:
            results.append(Result(config.name, problem=str(error)))
        except MlflowException as error:
            results.append(Result(config.name, problem=redact(" ".join(str(error).split()))))
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
