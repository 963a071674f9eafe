"""The prediction log read back, while a server writes it or long after."""

import contextlib
import heapq
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.errors import DataError
from serving.predictions.record import SCHEMA_VERSION, Prediction
from serving.predictions.sqlite_sink import BUSY_S, COLUMNS, DATABASE, check_schema

PARQUET_FOLDER = "predictions"
SELECT = f"SELECT {COLUMNS} FROM predictions WHERE time >= ? AND time < ? ORDER BY time, rowid"


def read_predictions(folder: Path, since: float | None = None, until: float | None = None) -> Iterator[Prediction]:
    """Predictions of a state folder in the order of time, one at a time, whichever files they are in.

    Args:
        folder: The state folder.
        since: From this moment on, in seconds since 1970.
        until: Before this moment.

    Raises:
        DataError: there is no log, or it cannot be read.
    """
    start, end = since or 0.0, until or float("inf")
    readers: list[Iterator[Prediction]] = []
    if (database := folder / DATABASE).exists():
        readers.append(_read_database(database, start, end))
    if (files := folder / PARQUET_FOLDER).is_dir():
        readers.append(_read_files(files, start, end))
    if not readers:
        raise DataError(
            f"{str(folder)!r} holds no prediction log. Give the state folder of a server with --state, "
            "whose settings have 'sink: sqlite' or 'sink: parquet' under 'predictions:'."
        )
    return heapq.merge(*readers, key=attrgetter("time"))


def _read_database(path: Path, start: float, end: float) -> Iterator[Prediction]:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    if not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK):
        address += "&immutable=1"  # a closed log on a read-only disk; SQLite would want to make files beside it
    try:
        with contextlib.closing(sqlite3.connect(address, BUSY_S, uri=True)) as connection:
            if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                return  # a server is just making it
            check_schema(connection)
            yield from map(Prediction._make, connection.execute(SELECT, (start, end)))
    except sqlite3.Error as err:
        raise DataError(
            f"The prediction log {str(path)!r} cannot be read: {err}. "
            "Give the state folder of a server of this release."
        ) from err


def _read_files(folder: Path, start: float, end: float) -> Iterator[Prediction]:
    """Rows of Parquet files, file by file: in the order of time but for what several servers wrote meanwhile."""
    first_day = datetime.fromtimestamp(start, UTC).date().isoformat()
    for path in sorted(folder.glob("????-??-??/*.parquet")):
        if path.parent.name >= first_day:  # nothing is written before its time
            rows = (Prediction(**values) for values in _read_file(path))
            yield from sorted((row for row in rows if start <= row.time < end), key=attrgetter("time"))


def _read_file(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from serving.predictions.parquet_sink import VERSION_KEY

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as err:
        raise DataError(f"{str(path)!r} cannot be read: {err}. Restore the file or move it away.") from err
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"?").decode()
    if version != str(SCHEMA_VERSION):
        raise DataError(f"{str(path)!r} has the schema version {version!r}; allowed: {SCHEMA_VERSION}. Move it away.")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
