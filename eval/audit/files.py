"""The file of an audit, for a person to fill in, and the copy of the labelled set that it makes."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from agent.errors import DataError
from agent.labels import TASKS, LabelSet
from agent.redaction import redact, redact_value
from eval.audit.audit import Suspect
from eval.files import inert
from eval.labeled_articles import LabeledArticle
from eval.labeled_set import LabeledSet
from eval.plain_text import printable
from eval.rows import read_rows

COLUMNS = (
    *("id", "title", "content", "task", "gold", "suggested", "votes", "candidates", "confidence", "reasons"),
    "corrected",
)
EXCERPT_CHARS = 500
SUFFIXES = (".csv", ".jsonl")


def logged_id(row: LabeledArticle) -> str:
    """The id of an article as `predictions.csv` has it."""
    return redact(inert(row.id))


def texts_of(dataset: LabeledSet) -> dict[str, str]:
    """Content of the articles of a labelled set, by the id that `predictions.csv` has."""
    return {logged_id(row): row.content for row in dataset.rows}


def check_new(path: Path, suffixes: Sequence[str]) -> None:
    """Raise DataError unless a file can be made here; one that is there may hold somebody's corrections."""
    if path.suffix.lower() not in suffixes:
        raise DataError(f"{path}: unknown suffix {path.suffix!r}. Allowed: {', '.join(suffixes)}. Give another --out.")
    if path.exists():
        raise DataError(f"{path} exists and is not overwritten. Give another --out, or move it away.")


def write_suspects(path: Path, suspects: Sequence[Suspect], texts: Mapping[str, str]) -> None:
    """One row for each suspect with an empty `corrected`, without secrets, as CSV without formulas or as JSON lines.

    Args:
        path: A new .csv or .jsonl file.
        suspects: In the order that they are written in.
        texts: Content of articles by id; one that is not there has none.

    Raises:
        DataError: the file exists, has another suffix or cannot be written.
    """
    check_new(path, SUFFIXES)
    rows = (redact_value(_row(suspect, texts.get(suspect.id, ""))) for suspect in suspects)
    with _new_file(path) as file:
        if path.suffix.lower() == ".csv":
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for row in rows:
                writer.writerow({name: inert(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def corrected_rows(dataset: LabeledSet, path: Path, labels: LabelSet) -> list[LabeledArticle]:
    """The rows whose labels a filled-in file changes, with the new labels.

    Raises:
        DataError: the file cannot be read, or one of its corrections names no article, task or label, or was made for
            another gold label than the set has now.
    """
    known = {logged_id(row): row for row in dataset.rows}
    changed: dict[str, LabeledArticle] = {}
    for row in read_rows(path):
        label = row.values.get("corrected")
        if label in (None, ""):
            continue
        place = f"{path}: {row.place}"
        found = changed.get(given := str(row.values.get("id"))) or known.get(given)
        task = row.values.get("task")
        if found is None or task not in TASKS or task not in found.gold:
            raise DataError(f"{place}: {dataset.path} has no article {given!r} with a {task!r} label. Correct the row.")
        if label not in labels.by_task[task]:
            raise DataError(
                f"{place}: field 'corrected' has the value {label!r}; allowed: {', '.join(labels.by_task[task])}."
            )
        if row.values.get("gold") != found.gold[task]:
            raise DataError(
                f"{place}: the {task} of {given!r} is {found.gold[task]!r} in {dataset.path}, and not "
                f"{row.values.get('gold')!r} as when this file was made. Audit again."
            )
        changed[given] = found._replace(gold={**found.gold, task: str(label)})
    return list(changed.values())


def write_corrected(path: Path, dataset: LabeledSet, changed: Sequence[LabeledArticle]) -> None:
    """A copy of a labelled set with these rows in place of those with their ids, as JSON lines.

    Raises:
        DataError: the file exists, has another suffix or cannot be written.
    """
    check_new(path, SUFFIXES[1:])
    news = {row.id: row for row in changed}
    with _new_file(path) as file:
        for row in dataset.rows:
            file.write(json.dumps(dict(_fields(news.get(row.id, row))), ensure_ascii=False) + "\n")


def _row(suspect: Suspect, content: str) -> dict[str, object]:
    return {
        "id": suspect.id,
        "title": printable(suspect.title),
        "content": printable(content)[:EXCERPT_CHARS],
        "task": suspect.task,
        "gold": suspect.gold,
        "suggested": suspect.suggested,
        "votes": suspect.votes,
        "candidates": suspect.candidates,
        "confidence": None if suspect.confidence is None else round(suspect.confidence, 4),
        "reasons": ", ".join(suspect.reasons),
        "corrected": "",
    }


def _fields(row: LabeledArticle) -> Iterator[tuple[str, object]]:
    yield from (("id", row.id), ("title", row.title), ("content", row.content))
    yield from row.gold.items()
    optional = {"story_id": row.story_id, "published_at": row.published_at, "hard": row.hard or None}
    yield from ((name, value) for name, value in optional.items() if value is not None)


def _new_file(path: Path) -> TextIO:
    try:
        return path.open("x", encoding="utf-8", newline="")
    except OSError as err:
        raise DataError(f"{path} cannot be written ({err.strerror or err}). Give another --out.") from err
