"""`news-classifier eval`: candidates against labelled sets."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from agent.budget import Budget
from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.settings import read_settings
from eval.candidates import load_candidate
from eval.console import (
    COULD_NOT_BE_DONE,
    DATA_FILE,
    LABELS_FILE,
    Command,
    Group,
    err,
    json_option,
    map_option,
    out,
    parse_pairs,
    path_option,
    print_json,
    tag_option,
)
from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.lifecycle import NEAR_DAYS, retirement_of
from eval.render import evaluation_table, run_lines
from eval.runner import evaluate
from eval.secret_scope import use_secrets
from eval.tags import checked_tags
from eval.targets import URI_SCHEMES
from eval.watching import FROM_THE_START, SAME_COMMAND, WITHOUT_FRESH, watching


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
    version_uri: str | None = None
    """Of a logged version, instead of a candidate."""
    max_usd: float | None = None
    repeats: int = 1
    fresh: bool = False

    def dataset(self, labels: LabelSet) -> LabeledSet:
        """The labelled set, checked against the labels that are allowed. Raises DataError."""
        return load_labeled_set(self.data_file, labels, parse_pairs("--map", self.columns))

    def budget(self) -> Budget | None:
        """What --max-usd allows; None without it."""
        return None if self.max_usd is None else Budget(self.max_usd)

    def prepare(self, config: AgentConfig) -> None:
        """Say when the model ends, and fetch its key if that was asked for. Raises ConfigError."""
        warn_of_retirement(config)
        if self.use_secrets:
            use_secrets(config.provider)


def candidate_options(data_file: Path) -> Callable[[Command], Command]:
    """The options that choose a candidate and ask it about a file, given to the command as one `options`."""

    def with_options(command: Command) -> Command:
        @click.option("--agent", metavar="FILE|URI", help="The candidate's file, or the URI of a logged version.")
        @click.option(
            "--provider", callback=none_if_empty, help="Instead of --agent: the provider's default candidate."
        )
        @click.option("--model", callback=none_if_empty, help="Instead of --agent: any model, with or without a file.")
        @path_option("--data", "data_file", data_file, "The labelled set.")
        @click.option("--concurrency", type=click.IntRange(1, 1000), help="Calls in flight at most.")
        @click.option("--use-secrets", is_flag=True, help="Take the key from the Databricks secret scope.")
        @wraps(command)
        def gathered(**given: Any) -> object:
            agent = given.pop("agent")
            is_version = agent is not None and agent.startswith(URI_SCHEMES)
            given["agent_file"] = Path(agent) if agent and not is_version else None
            given["version_uri"] = agent if is_version else None
            options = RunOptions(**{name: given.pop(name) for name in RunOptions._fields if name in given})
            if is_version and options.use_secrets:
                raise click.UsageError(
                    "--use-secrets goes with candidates; a logged version takes its key from the environment."
                )
            return command(options=options, **given)

        return cast(Command, gathered)

    return with_options


def run_options(command: Command) -> Command:
    """The options of an evaluation, given to the command as one `options`."""
    for option in (
        click.option("--max-usd", type=click.FloatRange(0, min_open=True), help="What the calls may cost, in USD."),
        click.option("--repeats", type=click.IntRange(1, 100), default=1, help="How often the set is asked about."),
        click.option("--fresh", is_flag=True, help="Ask again what the journal has answers to."),
        map_option,
        tag_option,
    ):
        command = option(command)
    return candidate_options(DATA_FILE)(command)


def none_if_empty(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """An option that was given as nothing, as MLflow projects do, was not given."""
    return value or None


def evaluate_candidate(
    candidate: AgentConfig | str,
    dataset: LabeledSet,
    options: RunOptions,
    *,
    join: bool = True,
    budget: Budget | None = None,
) -> EvaluationRecord:
    """Evaluate one candidate, or a logged version, with progress on the terminal. Raises as `evaluate` does."""
    if isinstance(candidate, AgentConfig):
        options.prepare(candidate)
    tags = checked_tags(parse_pairs("--tag", options.tags))
    name = candidate if isinstance(candidate, str) else candidate.name
    with watching(f"Classifying with {name}", how_to_resume(candidate, options)) as watch:
        return evaluate(
            candidate,
            dataset,
            tags=tags,
            concurrency=options.concurrency,
            repeats=options.repeats,
            budget=budget or options.budget(),
            fresh=options.fresh,
            join=join,
            watch=watch,
        )


def how_to_resume(candidate: AgentConfig | str, options: RunOptions) -> str:
    """What to do after an evaluation was stopped."""
    if isinstance(candidate, AgentConfig) and candidate.prompt is None:
        return FROM_THE_START
    return WITHOUT_FRESH if options.fresh else SAME_COMMAND


def say_left_out(name: str, reason: str) -> None:
    """Say which candidate cannot be asked, and why."""
    err.print(f"Left out: {name}. {reason}", soft_wrap=True)


def warn_of_retirement(config: AgentConfig) -> None:
    """Say that a model is near its end, or past it."""
    retirement = retirement_of(config)
    if retirement and retirement.days_left() <= NEAR_DAYS:
        verb = "retires" if retirement.days_left() > 0 else "was retired"
        err.print(f"Warning: {config.model} {verb} on {retirement.retires}. {retirement.advice}", soft_wrap=True)


@click.group(
    "eval",
    cls=Group,
    lazy={
        "all": "eval.all_commands:all_command",
        "audit": "eval.audit.commands:audit_command",
        "compare": "eval.compare.commands:compare_command",
        "decide": "eval.decision.commands:decide_command",
        "journal": "eval.journal_commands:journal_command",
        "redteam": "eval.redteam_commands:redteam_command",
        "reproduce": "eval.reproduce_commands:reproduce_command",
        "upload": "eval.upload_commands:upload_command",
    },
)
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
    """Evaluate one candidate, or a logged version, and log predictions, figures and the model.

    What was answered before is not asked again: a run that was stopped goes on where it was.
    """
    if options.version_uri:
        candidate: AgentConfig | str = options.version_uri
        labels = read_settings(LABELS_FILE, LabelSet)
    else:
        candidate = load_candidate(options.agent_file, options.provider, options.model)
        labels = candidate.labels
    record = evaluate_candidate(candidate, options.dataset(labels), options)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        show(record)
        for line in next_lines(record):
            err.print(line, soft_wrap=True)
    if record.partial:
        raise click.exceptions.Exit(COULD_NOT_BE_DONE)


def next_lines(record: EvaluationRecord) -> list[str]:
    """Where the results are, and what can be done with them."""
    if record.run_id is None:
        return ["Nothing was logged or can be registered until the results are uploaded."]
    holds = f"Run {record.run_id} holds predictions, figures and the model {record.model_uri}."
    if record.partial:
        return [
            holds,
            f"Partial: {record.partial}. The same command with more money, and without --fresh, asks what is left.",
        ]
    if record.model_uri and "/" in record.model_uri.removeprefix("models:/"):  # a registered version
        return [holds]
    return [holds, f"Next: news-classifier registry register {record.run_id}"]
