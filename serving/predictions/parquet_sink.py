"""Predictions as Parquet files in the state folder: `predictions/2026-11-21/091501.250000-1f2e3d4c.parquet`.

Folders are days and names times of writing, both in UTC, so that files sort by time. Every write is a file of its own,
whole from the moment that it has its name.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from serving.predictions.record import SCHEMA_VERSION, Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.sinks import SinkError

FOLDER = "predictions"
DAY = "%Y-%m-%d"
VERSION_KEY = b"news_classifier.predictions"
NUMBERS = ("time", "category_confidence", "sentiment_confidence", "latency_ms", "cost_usd")
SCHEMA = pa.schema(
    [(name, pa.float64() if name in NUMBERS else pa.string()) for name in Prediction._fields],
    metadata={VERSION_KEY: str(SCHEMA_VERSION)},
)


class ParquetSink:
    """Writes each batch as one file, through a temporary one."""

    ROWS_AT_ONCE: ClassVar[int] = 1_000_000

    def __init__(self, settings: LogSettings, folder: Path) -> None:
        self._folder = folder / FOLDER

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write a file that holds all of them, or none."""
        table = arrow_table(predictions)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if predictions:
                self._write_file(table)
        except OSError as err:
            raise SinkError(f"{str(self._folder)!r} cannot be written: {err}. Check the disk.") from err

    def delete(self, before: float) -> bool:
        """Delete the days that lie before a moment as a whole."""
        first_kept = datetime.fromtimestamp(before, UTC).strftime(DAY)
        try:
            for day in sorted(self._folder.glob("????-??-??")):
                if day.name < first_kept:
                    shutil.rmtree(day)
        except OSError as err:
            raise SinkError(f"{str(self._folder)!r} cannot be cleared: {err}. Check the disk.") from err
        return False

    def close(self) -> None:
        """Nothing is open."""

    def _write_file(self, table: pa.Table) -> None:
        now = datetime.now(UTC)
        path = self._folder / now.strftime(DAY) / f"{now:%H%M%S.%f}-{secrets.token_hex(4)}.parquet"
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".tmp")
        try:
            with fresh.open("wb") as file:
                pq.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def arrow_table(predictions: Sequence[Prediction]) -> pa.Table:
    """Predictions as a table with their schema's version."""
    columns = zip(*predictions, strict=True) if predictions else ([] for _ in SCHEMA)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)
