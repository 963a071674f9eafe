"""`news-classifier eval journal`: what answers are kept, and throwing old ones away."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.errors import DataError
from agent.journal import Journal, Summary
from eval.console import json_option, out, path_option, print_json, print_wide
from eval.runner import JOURNAL_FILE

DAY_S = 86_400
TABLE_WIDTH = 124


@click.command("journal")
@path_option("--journal", "path", JOURNAL_FILE, "The journal's file.")
@click.option("--prune", "days", type=click.FloatRange(min=0), metavar="DAYS", help="Delete answers older than this.")
@click.option("--model", help="With --prune: only those of this model.")
@json_option
def journal_command(path: Path, days: float | None, model: str | None, as_json: bool) -> None:
    """List the answers that are kept and will not be paid for again, or delete old ones."""
    if model and days is None:
        raise click.UsageError("--model needs --prune.")
    if not path.exists():
        raise DataError(f"There is no journal {str(path)!r}. An evaluation of an LLM makes one.")
    with Journal(path) as journal:
        deleted = None if days is None else journal.prune(time.time() - days * DAY_S, model)
        summaries = journal.summaries()
    if as_json:
        print_json({"journal": str(path), "deleted": deleted, "candidates": [each._asdict() for each in summaries]})
        return
    if deleted is not None:
        out.print(f"{deleted:,} answers deleted.")
    print_wide(journal_table(path, summaries), TABLE_WIDTH)


def journal_table(path: Path, summaries: list[Summary]) -> Table:
    """One row for each configuration that was asked."""
    table = Table(title=f"{path}: answers that were paid for", title_justify="left", box=SIMPLE_HEAD)
    for column in ("provider", "model", "configuration"):
        table.add_column(column, no_wrap=True)
    for column in ("articles", "answers", "cost", "first", "last"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in summaries:
        cost = "unknown" if each.cost_usd is None else f"${each.cost_usd:.4f}"
        first, last = (datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in each[-2:])
        counts = (f"{each.articles:,}", f"{each.answers:,}")
        table.add_row(each.provider, each.model, each.config_hash[:12], *counts, cost, first, last)
    return table
