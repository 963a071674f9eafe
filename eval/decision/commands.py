"""`news-classifier eval decide`: which candidate goes to production, or that it cannot be said yet."""

from pathlib import Path

import click

from agent.settings import read_settings
from eval.console import json_option, out, path_option, print_json, print_wide
from eval.decision.config import DECISION_FILE, DecisionConfig
from eval.decision.decide import decide
from eval.decision.view import decision_lines, decision_table
from eval.runs import load_predictions
from eval.selection import select_runs
from eval.store import open_store

TABLE_WIDTH = 110


@click.command("decide")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@path_option("--config", "config_file", DECISION_FILE, "What is needed in production, and the rules.")
@click.option("--strict", is_flag=True, help="Exit with 1 when it is inconclusive.")
@json_option
@click.pass_context
def decide_command(
    ctx: click.Context, run_ids: tuple[str, ...], config_file: Path, strict: bool, as_json: bool
) -> None:
    """Say which candidate goes to production, by the rules of config/decision.yaml.

    Without RUN, each candidate is taken with its newest whole evaluation. An inconclusive answer exits with 0 as well.
    """
    settings = read_settings(config_file, DecisionConfig)
    open_store()
    selection = select_runs(run_ids, settings.minimum_articles)
    predictions = {record.run_id: load_predictions(record.run_id) for record in selection.records}
    decision = decide(selection, predictions, settings)
    if as_json:
        print_json(decision.model_dump(mode="json"))
    else:
        if decision.candidates:
            print_wide(decision_table(decision), TABLE_WIDTH)
        for line in decision_lines(decision):
            out.print(line, soft_wrap=True)
    if strict and decision.verdict == "inconclusive":
        ctx.exit(1)
