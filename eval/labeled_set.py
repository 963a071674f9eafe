"""Labelled news, checked row by row before anything is done with it.

Every mistake is a DataError that names file, line, field, value, what is allowed and what to do.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.errors import DataError
from agent.labels import TASKS, LabelSet, Task
from agent.records import Article
from agent.redaction import redact_value
from eval.labeled_articles import LabeledArticle, PackedArticles
from eval.rows import Row, read_rows

ALIASES = {"category": "expected_category", "sentiment": "expected_sentiment"}
FIELDS = ("id", "title", "content", "category", "sentiment", "story_id", "published_at", "hard")
"""Fields that are read; a file may hold others, which are left alone."""
TEXTS = ("title", "content")
SHOWN_CHARS = 60


class LabeledSet(NamedTuple):
    """A checked labelled set with at least one row."""

    path: Path
    rows: Sequence[LabeledArticle]
    digest: str
    """sha256 of ids, texts and gold labels, whatever the row order and file format."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that the set has gold labels for."""
        return tuple(task for task in TASKS if task in self.rows[0].gold)


def load_labeled_set(path: Path, labels: LabelSet, columns: Mapping[str, str] | None = None) -> LabeledSet:
    """Read and check a labelled set. A field must be in every row or in none; the text needs a title or a content.

    Args:
        path: A .json, .jsonl, .csv or .parquet file.
        labels: The labels that are allowed.
        columns: Field to the column that holds it, where their names differ.

    Raises:
        DataError: the file or one of its rows is wrong.
    """
    mapping = checked_columns(columns or {})
    present = fields_in(path, mapping)
    for field in mapping:
        if field not in present:
            raise DataError(
                f"{path}: no row has the column {mapping[field]!r} that {field!r} is mapped to. Correct the mapping."
            )
    if not {"category", "sentiment"} & set(present):
        raise DataError(
            f"{path} has neither 'category' nor 'sentiment'. Add labels, or map columns with --map category=COLUMN."
        )
    places: dict[str, str] = {}
    rows = PackedArticles()
    for source in rows_of(path, mapping):
        row = _parse_row(path, source, present, labels.by_task)
        if row.id in places:
            raise DataError(
                f"{path}: {source.place}: field 'id' has the value {_shown(row.id)}, "
                f"as {places[row.id]} has. Give every article its own id."
            )
        places[row.id] = source.place
        rows.append(row)
    return LabeledSet(path, rows, fingerprint(rows))


def rows_of(path: Path, mapping: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a file under the names of our fields. Raises DataError."""
    return (Row(row.place, by_field(row.values, mapping)) for row in read_rows(path))


def fields_in(path: Path, mapping: Mapping[str, str]) -> list[str]:
    """The fields that any row has. The file is read once for this alone, so that its rows need not be held twice.

    Raises:
        DataError: it cannot be read, or holds no rows.
    """
    found: set[str] = set()
    rows = 0
    for row in rows_of(path, mapping):
        found.update(row.values)
        rows += 1
    if not rows:
        raise DataError(f"{path} holds no articles. Give a file with at least one.")
    return [field for field in FIELDS if field in found]


def checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """The column mapping, if it maps only known fields. Raises DataError otherwise."""
    for field in columns:
        if field not in FIELDS:
            raise DataError(f"Cannot map the unknown field {field!r}. Allowed: {', '.join(FIELDS)}. Correct --map.")
    return dict(columns)


def read_article(path: Path, row: Row) -> Article:
    """The article of an unlabelled row, any text fields missing taken as empty.

    Raises:
        DataError: a field is not text.
    """
    title, content = (_text(path, row, field) if row.values.get(field) is not None else "" for field in TEXTS)
    given = row.values.get("id")
    if isinstance(given, str):
        given = _text(path, row, "id")
    elif given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise DataError(
            f"{path}: {row.place}: field 'id' has the value {_shown(given)}; allowed: text or a number. Correct it."
        )
    return Article(id=given, title=title, content=content)


def fingerprint(rows: Iterable[LabeledArticle]) -> str:
    """sha256 of the canonical content of labelled rows, whatever their order."""
    hashes = (
        hashlib.sha256(
            json.dumps([row.id, row.title, row.content, sorted(row.gold.items())], ensure_ascii=False).encode()
        ).digest()
        for row in rows
    )
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def by_field(values: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """Values under the names of our fields; null means absent, and so does an empty cell where text has no meaning."""
    names = {field: columns.get(field, field) for field in FIELDS}
    for field, alias in ALIASES.items():
        if field not in columns and values.get(field) is None and values.get(alias) is not None:
            names[field] = alias
    found = {field: values.get(name) for field, name in names.items()}
    return {field: value for field, value in found.items() if value is not None and (value != "" or field in TEXTS)}


def _parse_row(
    path: Path,
    row: Row,
    present: Sequence[str],
    allowed: Mapping[Task, tuple[str, ...]],
) -> LabeledArticle:
    for field in ("id", *present):
        if field not in row.values and field not in ("story_id", "published_at", "hard"):
            raise DataError(
                f"{path}: {row.place}: field {field!r} is missing. Add it, or map a column with --map {field}=COLUMN."
            )
    article = read_article(path, row)
    if problem := article.problem():
        raise DataError(f"{path}: {row.place}: id {_shown(article.id)}: {problem}.")
    gold: dict[Task, str] = {}
    for task in TASKS:
        if task in present:
            gold[task] = label = _text(path, row, task)
            if label not in allowed[task]:
                raise DataError(
                    f"{path}: {row.place}: field {task!r} has the value {_shown(label)}; "
                    f"allowed: {', '.join(allowed[task])}. Correct the label."
                )
    story, published = (
        str(row.values[field]) if field in row.values else None for field in ("story_id", "published_at")
    )
    hard = row.values.get("hard") in (True, "true", "True", "1", 1)
    return LabeledArticle(str(article.id), article.title, article.content, gold, story, published, hard)


def _text(path: Path, row: Row, field: str) -> str:
    value = row.values[field]
    if not isinstance(value, str):
        raise DataError(
            f"{path}: {row.place}: field {field!r} has the value {_shown(value)}; allowed: text. Correct it."
        )
    try:
        value.encode()
    except UnicodeEncodeError as err:
        raise DataError(
            f"{path}: {row.place}: field {field!r} holds {value[err.start]!r}, half of a character. Correct it."
        ) from err
    return value


def _shown(value: object) -> str:
    text = repr(redact_value(value))
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
