"""`news-classifier serve queue`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.errors import ConfigError, DataError
from agent.labels import TASKS
from eval.console import err, json_option, map_option, out, parse_pairs, print_json, print_lines, print_wide
from eval.plain_text import printable
from serving.predictions.article_key import ArticleKey
from serving.predictions.comparisons import ORDERS, Order, Versions, choose, compare
from serving.predictions.evidence import evidence_lines, evidence_of
from serving.predictions.files import write_rows
from serving.predictions.labelling import Row, join_texts, labelling_row
from serving.predictions.options import since_option, state_option
from serving.predictions.store import read_predictions

SHOWN_ROWS = 10
"""Of the table, where no file is asked for."""
TABLE_WIDTH = 110


def parse_versions(ctx: click.Context, option: click.Parameter, given: str | None) -> Versions | None:
    """Two versions as `5,6`."""
    if given is None:
        return None
    versions = frozenset(part.strip() for part in given.split(","))
    if len(versions) != 2 or "" in versions:
        raise click.BadParameter(f"{given!r} is not two versions. Give them as 5,6.")
    return versions


@click.command("queue")
@state_option
@since_option
@click.option("--versions", callback=parse_versions, metavar="A,B", help="Instead of the two that were compared last.")
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default="confident",
    show_default=True,
    help="What comes first: where both versions are sure, the newest, or any.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Articles at most; they are in memory.",
)
@click.option(
    "--articles",
    "articles_file",
    type=click.Path(path_type=Path),
    help="A file with id, title and content, for the texts that the log does not keep.",
)
@map_option
@click.option("--out", "target", type=click.Path(path_type=Path), help="A new .csv or .jsonl file, to be filled.")
@json_option
def queue_command(
    folder: Path,
    since: float | None,
    versions: Versions | None,
    order: Order,
    limit: int,
    articles_file: Path | None,
    columns: tuple[str, ...],
    target: Path | None,
    as_json: bool,
) -> None:
    """Articles to label: those that the champion and the shadow gave different labels.

    On all others both are right or both are wrong, so only these can change which one is better. The file is a
    labelled set once its columns category and sentiment are filled: news-classifier eval run --agent
    models:/NAME/VERSION --data FILE asks each version, news-classifier eval compare tells them apart. The difference
    of accuracy on traffic is that on the file times the share of articles with different labels.
    """
    if target and target.exists():
        raise DataError(f"{target} exists, and may hold labels. Name a new file with --out.")
    comparison = choose(compare(read_predictions(folder, since)), versions)
    evidence = evidence_of(comparison)
    rows = [labelling_row(each) for each in comparison.disagreements(order, limit)]
    notes = joined_lines(rows, articles_file, parse_pairs("--map", columns), folder) if articles_file else []
    if len(rows) < evidence.different and order != "random":
        notes.append(f"The first {len(rows):,} do not stand for all {evidence.different:,}: --order random does.")
    if target and rows:
        write_rows(target, list(rows[0]), rows)
    if as_json:
        queue = {"file": str(target), "rows": len(rows)} if target and rows else {"queue": rows}
        print_json(evidence._asdict() | queue)
        return
    print_lines(evidence_lines(evidence))
    if not target:
        print_rows(rows)
    for line in [*notes, *next_lines(rows, target)]:
        err.print(line, soft_wrap=True)


def joined_lines(rows: Sequence[Row], file: Path, columns: dict[str, str], folder: Path) -> list[str]:
    """Take texts from a file; says how that went."""
    try:
        key, without = ArticleKey(folder, make=False), ""
    except ConfigError as error:
        key, without = None, f" Only ids could be compared: {error}"
    joined = join_texts(rows, file, columns, key)
    return [
        f"{joined.by_hash:,} texts found in {file} by their hash, {joined.by_id:,} by their id alone, "
        f"which may have been changed since.{without}"
    ]


def next_lines(rows: Sequence[Row], target: Path | None) -> list[str]:
    """What to do with the queue."""
    if not rows:
        return ["There is nothing to label."]
    if target is None:
        return ["With --out FILE.csv it is written as a labelled set to be filled."]
    lacking = sum(not (row["title"] or row["content"]) for row in rows)
    return [
        f"{len(rows):,} articles written to {target}. Fill in category and sentiment, then ask each version: "
        f"news-classifier eval run --agent models:/NAME/VERSION --data {target}",
        *(
            [f"{lacking:,} have no text: join it by article_id or article_hash, for example with --articles FILE."]
            if lacking
            else []
        ),
    ]


def print_rows(rows: Sequence[Row]) -> None:
    """The start of the queue as a table."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("id", "title", *TASKS, "newest", "times"):
        table.add_column(column, no_wrap=column != "title", overflow="ellipsis")
    for row in rows[:SHOWN_ROWS]:
        labels = [changed(row, task) for task in TASKS]
        times = f"{row['times_different']} of {row['times_compared']}"
        cells = (row["id"], str(row["title"])[:60], *labels, str(row["newest"])[:16], times)
        table.add_row(*(printable(str(cell)) for cell in cells))
    if rows:
        print_wide(table, TABLE_WIDTH)
    if len(rows) > SHOWN_ROWS:
        out.print(f"... and {len(rows) - SHOWN_ROWS:,} more")


def changed(row: Row, task: str) -> Any:
    """The served label and the shadow's where they differ: `Sports | World`."""
    served, shadow = row[f"served_{task}"], row[f"shadow_{task}"]
    return served if served == shadow else f"{served} | {shadow}"
