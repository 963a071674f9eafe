"""`news-classifier eval`: candidates against labelled sets."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from agent.config import AgentConfig
from eval.audit_commands import audit_command
from eval.candidates import load_candidate
from eval.console import (
    DATA_FILE,
    Command,
    Group,
    err,
    json_option,
    map_option,
    out,
    parse_pairs,
    path_option,
    print_json,
    progress_bar,
    tag_option,
)
from eval.decide_commands import decide_command
from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.lifecycle import NEAR_DAYS, retirement_of
from eval.redteam import load_hostile_set, redteam
from eval.render import evaluation_table, redteam_lines, run_lines
from eval.runner import evaluate
from eval.secret_scope import use_secrets
from eval.store import open_store
from eval.tracking import checked_tags

HOSTILE_FILE = Path("data/hostile_news.jsonl")


class RunOptions(NamedTuple):
    """What every evaluation can be told on the command line."""

    agent_file: Path | None
    provider: str | None
    model: str | None
    data_file: Path
    concurrency: int | None
    use_secrets: bool
    columns: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def dataset(self, config: AgentConfig) -> LabeledSet:
        """The labelled set, checked against the candidate's labels. Raises DataError."""
        return load_labeled_set(self.data_file, config.labels, parse_pairs("--map", self.columns))

    def prepare(self, config: AgentConfig) -> None:
        """Say when the model ends, and fetch its key if that was asked for. Raises ConfigError."""
        warn_of_retirement(config)
        if self.use_secrets:
            use_secrets(config.provider)


def candidate_options(data_file: Path) -> Callable[[Command], Command]:
    """The options that choose a candidate and ask it about a file, given to the command as one `options`."""

    def with_options(command: Command) -> Command:
        @click.option("--agent", "agent_file", type=click.Path(path_type=Path), help="The candidate's file.")
        @click.option(
            "--provider", callback=none_if_empty, help="Instead of --agent: the provider's default candidate."
        )
        @click.option("--model", callback=none_if_empty, help="Instead of --agent: any model, with or without a file.")
        @path_option("--data", "data_file", data_file, "The labelled set.")
        @click.option("--concurrency", type=click.IntRange(1, 1000), help="Calls in flight at most.")
        @click.option("--use-secrets", is_flag=True, help="Take the key from the Databricks secret scope.")
        @wraps(command)
        def gathered(**given: Any) -> object:
            options = RunOptions(**{name: given.pop(name) for name in RunOptions._fields if name in given})
            return command(options=options, **given)

        return cast(Command, gathered)

    return with_options


def run_options(command: Command) -> Command:
    """The options of an evaluation, given to the command as one `options`."""
    return map_option(tag_option(candidate_options(DATA_FILE)(command)))


def none_if_empty(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """An option that was given as nothing, as MLflow projects do, was not given."""
    return value or None


def evaluate_candidate(
    config: AgentConfig, dataset: LabeledSet, options: RunOptions, *, join: bool = True
) -> EvaluationRecord:
    """Evaluate one candidate with progress on the terminal. Raises as `eval.runner.evaluate` does."""
    options.prepare(config)
    tags = checked_tags(parse_pairs("--tag", options.tags))
    with progress_bar(f"Classifying with {config.name}") as progress:
        return evaluate(config, dataset, tags=tags, concurrency=options.concurrency, join=join, progress=progress)


def warn_of_retirement(config: AgentConfig) -> None:
    """Say that a model is near its end, or past it."""
    retirement = retirement_of(config)
    if retirement and retirement.days_left() <= NEAR_DAYS:
        verb = "retires" if retirement.days_left() > 0 else "was retired"
        err.print(f"Warning: {config.model} {verb} on {retirement.retires}. {retirement.advice}", soft_wrap=True)


@click.group("eval", cls=Group)
def commands() -> None:
    """Evaluate candidates on labelled news."""


def show(record: EvaluationRecord) -> None:
    """Print an evaluation for people."""
    out.print(evaluation_table(record))
    for line in run_lines(record):
        out.print(line)


@commands.command("run")
@run_options
@json_option
def run(options: RunOptions, as_json: bool) -> None:
    """Evaluate one candidate and log predictions, figures and the model."""
    config = load_candidate(options.agent_file, options.provider, options.model)
    dataset = options.dataset(config)
    open_store()
    record = evaluate_candidate(config, dataset, options)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    show(record)
    err.print(f"Run {record.run_id} holds predictions, figures and the model {record.model_uri}.", soft_wrap=True)
    err.print(f"Next: news-classifier registry register {record.run_id}")


@commands.command("redteam")
@candidate_options(HOSTILE_FILE)
@json_option
def redteam_command(options: RunOptions, as_json: bool) -> None:
    """Measure how often an attack inside an article changes its label."""
    config = load_candidate(options.agent_file, options.provider, options.model)
    data = load_hostile_set(options.data_file, config.labels)
    open_store()
    options.prepare(config)
    with progress_bar(f"Attacking {config.name}") as progress:
        record = redteam(config, data, options.concurrency, progress)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    for line in redteam_lines(record):
        out.print(line, soft_wrap=True)


commands.add_command(decide_command)
commands.add_command(audit_command)
