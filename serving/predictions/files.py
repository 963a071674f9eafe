"""Writes rows to CSV, JSON lines or Parquet: a file is there as a whole or not at all, and holds no secrets."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from agent.errors import DataError
from agent.redaction import redact_value, secret_values
from eval.files import inert
from serving.predictions.record import Prediction

Rows = Iterable[Mapping[str, Any]]
Writer = Callable[[Path, Rows], int]
PARQUET_ROWS = 50_000
"""That are in memory at once."""


def write_rows(path: Path, columns: Sequence[str], rows: Rows) -> int:
    """Write rows; returns how many. In CSV, text that a spreadsheet would run as a formula is made inert.

    Args:
        path: With the suffix .csv or .jsonl.
        columns: That each row has.
        rows: One at a time.

    Raises:
        DataError: the suffix is another one, or the file cannot be written.
    """
    return _write(path, {".csv": partial(_write_csv, columns), ".jsonl": _write_jsonl}, rows)


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Write predictions as .csv, .jsonl or .parquet; returns how many. Raises as `write_rows` does."""
    writers: dict[str, Writer] = {
        ".csv": partial(_write_csv, Prediction._fields),
        ".jsonl": _write_jsonl,
        ".parquet": _write_parquet,
    }
    return _write(path, writers, (prediction._asdict() for prediction in predictions))


def _write(path: Path, writers: Mapping[str, Writer], rows: Rows) -> int:
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise DataError(f"{path}: unknown suffix {path.suffix!r}. Allowed: {', '.join(writers)}. Name another file.")
    fresh = path.with_name(f"{path.name}.new")
    try:
        count = writer(fresh, rows)
        fresh.replace(path)
    except OSError as err:
        raise DataError(f"{path} cannot be written ({err.strerror or err}). Name a file in a writable folder.") from err
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _write_csv(columns: Sequence[str], path: Path, rows: Rows) -> int:
    count, secrets = 0, secret_values()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            clean = redact_value(row, secrets)
            writer.writerow({name: inert(value) if isinstance(value, str) else value for name, value in clean.items()})
            count += 1
    return count


def _write_jsonl(path: Path, rows: Rows) -> int:
    count, secrets = 0, secret_values()
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{json.dumps(redact_value(row, secrets), ensure_ascii=False)}\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Rows) -> int:
    import pyarrow.parquet as pq

    from serving.predictions.parquet_sink import SCHEMA, arrow_table

    count, left = 0, iter(rows)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        while some := [Prediction(**row) for row in islice(left, PARQUET_ROWS)]:
            writer.write_table(arrow_table(some))
            count += len(some)
    return count
