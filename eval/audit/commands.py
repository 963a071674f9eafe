"""`news-classifier eval audit`: gold labels to look at again, and whether the order of the candidates hangs on them."""

from pathlib import Path

import click
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.errors import DataError
from agent.labels import TASKS, LabelSet, Task
from agent.settings import read_settings
from eval.audit.audit import Audit, Candidate, audit
from eval.audit.files import SUFFIXES, check_new, corrected_rows, texts_of, write_corrected, write_suspects
from eval.audit.probabilities import load_probabilities
from eval.console import DATA_FILE, LABELS_FILE, err, json_option, map_option, out, parse_pairs, print_json, print_wide
from eval.evaluation import LoggedEvaluation
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.plain_text import printable
from eval.runs import load_predictions
from eval.selection import select_runs
from eval.store import open_store

AUDIT_FILE = Path("label_audit.csv")
TABLE_WIDTH = 140
SHOWN = 10
ID_CHARS, TITLE_CHARS = 20, 48


@click.command("audit")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--data", "data_file", type=click.Path(path_type=Path), help=f"The labelled set.  [default: {DATA_FILE}]")
@map_option
@click.option(
    "--out", "out_file", type=click.Path(path_type=Path), help=f"A new .csv or .jsonl.  [default: {AUDIT_FILE}]"
)
@click.option(
    "--apply", "filled_in", type=click.Path(path_type=Path), help="Write --out, a corrected copy of --data, from this."
)
@json_option
def audit_command(
    run_ids: tuple[str, ...],
    data_file: Path | None,
    columns: tuple[str, ...],
    out_file: Path | None,
    filled_in: Path | None,
    as_json: bool,
) -> None:
    """List gold labels that the candidates agree against, in a file to correct.

    Without RUN, each candidate is taken with its newest whole evaluation. The labelled set itself is never changed:
    fill in the column 'corrected', then write a corrected copy with --apply.
    """
    mapping = parse_pairs("--map", columns)
    if filled_in:
        if run_ids or out_file is None:
            raise click.UsageError("--apply takes no RUN and needs --out.")
        apply_corrections(filled_in, data_file or DATA_FILE, mapping, out_file, as_json)
        return
    path = out_file or AUDIT_FILE
    check_new(path, SUFFIXES)
    open_store()
    records = audited_runs(run_ids)
    dataset = labelled_texts(data_file, mapping, records[0])
    found = audit(
        records[0].dataset,
        [Candidate(record.run_id, record.agent, load_predictions(record.run_id)) for record in records],
        probabilities_of(records),
    )
    write_suspects(path, found.suspects, texts_of(dataset) if dataset else {})
    if as_json:
        print_json(found.model_dump(mode="json") | {"file": str(path)})
        return
    show(found)
    out.print(f"{path} holds them: fill in 'corrected', then --apply {path} --out NEW.jsonl.", soft_wrap=True)


def audited_runs(run_ids: tuple[str, ...]) -> list[LoggedEvaluation]:
    """These runs, or the newest of each candidate on one labelled set; enough of them to suspect a label."""
    selection = select_runs(run_ids)
    if run_ids and selection.others:
        raise DataError(
            f"Run {selection.others[0].run_id!r} was measured on other articles than {selection.records[0].run_id!r}. "
            "Give runs on one labelled set."
        )
    if not selection.records:
        raise DataError("There is no complete evaluation yet. Evaluate first: news-classifier eval run.")
    if len(selection.records) == 1 and selection.records[0].candidate.track != "local":
        raise DataError("One LLM alone agrees with nobody. Evaluate another candidate too, or the local model.")
    return list(selection.records)


def labelled_texts(path: Path | None, mapping: dict[str, str], record: LoggedEvaluation) -> LabeledSet | None:
    """The labelled set if it is still what was evaluated; its articles are shown beside their labels then."""
    if path is None and not DATA_FILE.exists():
        return None
    dataset = load_labeled_set(path or DATA_FILE, read_settings(LABELS_FILE, LabelSet), mapping)
    if dataset.digest == record.dataset.digest:
        return dataset
    err.print(f"{dataset.path} is not the set that was evaluated: titles only. Give it with --data.", soft_wrap=True)
    return None


def probabilities_of(records: list[LoggedEvaluation]) -> dict[Task, pd.DataFrame]:
    """Those of the most accurate local model, which learned from other articles than it is evaluated on."""
    local = [record for record in records if record.candidate.track == "local"]
    if not local:
        return {}
    best = max(local, key=lambda record: record.metrics.get("category_accuracy", 0.0))
    return {task: load_probabilities(best.run_id, task) for task in TASKS if f"{task}_accuracy" in best.metrics}


def apply_corrections(filled_in: Path, data_file: Path, mapping: dict[str, str], path: Path, as_json: bool) -> None:
    """Write a corrected copy of a labelled set."""
    labels = read_settings(LABELS_FILE, LabelSet)
    dataset = load_labeled_set(data_file, labels, mapping)
    changed = corrected_rows(dataset, filled_in, labels)
    write_corrected(path, dataset, changed)
    digest = load_labeled_set(path, labels).digest
    if as_json:
        print_json({"file": str(path), "rows": len(dataset.rows), "changed": len(changed), "digest": digest})
    else:
        out.print(f"{path}: {len(dataset.rows):,} articles, {len(changed):,} with corrected labels.", soft_wrap=True)


def show(found: Audit) -> None:
    """Print an audit for people."""
    table = Table(box=SIMPLE_HEAD, title_justify="left", title=printable(_title(found)))
    for column in ("id", "title", "task", "gold", "suggested", "votes", "confidence"):
        table.add_column(column, no_wrap=True)
    for one in found.suspects[:SHOWN]:
        confidence = "-" if one.confidence is None else f"{one.confidence:.2f}"
        cells = (one.id[:ID_CHARS], one.title[:TITLE_CHARS], one.task, one.gold, one.suggested)
        table.add_row(*map(printable, cells), f"{one.votes} of {one.candidates}", confidence)
    print_wide(table, TABLE_WIDTH)
    if len(found.suspects) > SHOWN:
        out.print(f"... and {len(found.suspects) - SHOWN:,} more.")
    for task, errors in found.estimated_errors.items():
        out.print(f"Confident learning estimates {errors:.0f} wrong {task} labels.")
    for line in ranking_lines(found):
        out.print(printable(line), soft_wrap=True)
    out.print("Candidates can be wrong together, so a person judges; without those labels all look better.")


def ranking_lines(found: Audit) -> list[str]:
    """Whether the order of the candidates hangs on the suspects, a line each; none for a single candidate."""
    if len(found.ranking) < 2:
        return []
    changes = "changes" if found.ranking_changes else "stays the same"
    lines = [f"Without the labels that most of them contradict, the ranking by {found.ranked_by} accuracy {changes}:"]
    for rank in found.ranking:
        without = "-" if rank.accuracy_without is None else f"{rank.accuracy_without:.3f} ({rank.rank_without})"
        lines.append(f"  {rank.name}: {rank.accuracy:.3f} ({rank.rank}), without {without}")
    return lines


def _title(found: Audit) -> str:
    return f"{len(found.suspects):,} labels to look at among {found.dataset.rows:,} articles of {found.dataset.path}"
