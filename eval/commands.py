"""`news-classifier eval`: candidates against labelled sets."""

from pathlib import Path

import click

from agent.config import AgentConfig
from eval.console import (
    AGENT_FILE,
    Group,
    data_option,
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
from eval.evaluation import EvaluationRecord
from eval.labeled_set import load_labeled_set
from eval.render import evaluation_table, run_lines
from eval.runner import evaluate
from eval.store import open_store
from eval.tracking import checked_tags


@click.group("eval", cls=Group)
def commands() -> None:
    """Evaluate candidates on labelled news."""


def show(record: EvaluationRecord) -> None:
    """Print an evaluation for people."""
    out.print(evaluation_table(record))
    for line in run_lines(record):
        out.print(line)


@commands.command("run")
@path_option("--agent", "agent_file", AGENT_FILE, "The candidate's file.")
@data_option
@map_option
@tag_option
@json_option
def run(agent_file: Path, data_file: Path, columns: tuple[str, ...], tags: tuple[str, ...], as_json: bool) -> None:
    """Evaluate one candidate and log predictions, figures and the model."""
    config = AgentConfig.from_file(agent_file)
    dataset = load_labeled_set(data_file, config.labels, parse_pairs("--map", columns))
    own_tags = checked_tags(parse_pairs("--tag", tags))
    open_store()
    with progress_bar("Classifying") as progress:
        record = evaluate(config, dataset, tags=own_tags, progress=progress)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    show(record)
    err.print(f"Run {record.run_id} holds predictions, figures and the model {record.model_uri}.", soft_wrap=True)
    err.print(f"Next: news-classifier registry register {record.run_id}")
