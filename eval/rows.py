"""Rows out of JSON, JSON lines, CSV and Parquet files, each with the place where it stands."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from agent.errors import DataError

MAX_CELL_CHARS = 64 * 1024 * 1024
"""Longest CSV cell that is read at all, so that a too long article is reported as such."""


class Row(NamedTuple):
    """One row as it stands in a file."""

    place: str
    """Where, for people: `line 12`, `item 3`, `row 7`."""
    values: Mapping[str, object]


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a file, one at a time where the format allows it.

    Raises:
        DataError: the file cannot be read, has an unknown suffix, is not UTF-8, or a row is malformed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: unknown suffix {path.suffix!r}. Allowed: {', '.join(sorted(READERS))}. Convert the file."
        )
    try:
        yield from reader(path)
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror or err}). Give the path of a readable file.") from err


def _read_json(path: Path) -> Iterator[Row]:
    text = "\n".join(line for _, line in _lines(path))
    if not text.strip():
        return
    try:
        items = json.loads(text)
    except RecursionError as err:
        raise DataError(f"{path}: line 1: JSON is nested too deeply. Give a flat list of articles.") from err
    except json.JSONDecodeError as err:
        raise DataError(
            f"{path}: line {err.lineno}: invalid JSON at column {err.colno}: {err.msg}. Correct the file."
        ) from err
    if not isinstance(items, list):
        raise DataError(
            f"{path} holds a JSON {type(items).__name__}, not a list of articles. Put the articles into a list."
        )
    for number, item in enumerate(items, 1):
        yield _object_row(path, f"item {number}", item)


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except RecursionError as err:
            raise DataError(f"{path}: line {number}: JSON is nested too deeply. Give flat objects.") from err
        except json.JSONDecodeError as err:
            raise DataError(
                f"{path}: line {number}: invalid JSON at column {err.colno}: {err.msg}. Correct the line."
            ) from err
        yield _object_row(path, f"line {number}", item)


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL_CHARS)
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for values in reader:
            if None in values or None in values.values():
                wrong = "more" if None in values else "fewer"
                raise DataError(
                    f"{path}: line {reader.line_num}: {wrong} cells than the header has columns. Correct the line."
                )
            yield Row(f"line {reader.line_num}", values)
    except csv.Error as err:
        raise DataError(f"{path}: line {reader.line_num}: invalid CSV: {err}. Correct the line.") from err


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", values)
    except pa.ArrowInvalid as err:
        raise DataError(f"{path} is not a Parquet file: {err}. Convert the file.") from err


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as err:
                raise DataError(
                    f"{path}: line {number}: byte {err.object[err.start]:#04x} at position {err.start} "
                    "is not UTF-8. Save the file as UTF-8."
                ) from err


def _object_row(path: Path, place: str, item: object) -> Row:
    if not isinstance(item, dict):
        raise DataError(
            f"{path}: {place}: {type(item).__name__} instead of an object with id, title and content. Correct it."
        )
    return Row(place, item)


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
