"""Predictions in one SQLite file, which several servers may share and anything may read meanwhile."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from serving.predictions.record import SCHEMA_VERSION, Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.sinks import SinkError

DATABASE = "predictions.db"
APPLICATION_ID = 0x4E43504C
BUSY_S = 5.0
"""How long is waited for another server that writes; after that the rows wait in memory and it is tried again."""
ROW_ERRORS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""What SQLite says of a row that the table can never take."""
DELETED_AT_ONCE = 10_000
SCHEMA = """
CREATE TABLE predictions (
    time REAL NOT NULL,
    request_id TEXT NOT NULL,
    role TEXT NOT NULL,
    version TEXT NOT NULL,
    article_hash TEXT NOT NULL,
    article_id TEXT,
    category TEXT,
    sentiment TEXT,
    category_confidence REAL,
    sentiment_confidence REAL,
    latency_ms REAL NOT NULL,
    cost_usd REAL,
    error TEXT,
    title TEXT,
    content TEXT
);
CREATE INDEX predictions_time ON predictions (time);
"""
COLUMNS = ", ".join(Prediction._fields)
INSERT = f"INSERT INTO predictions ({COLUMNS}) VALUES ({', '.join('?' * len(Prediction._fields))})"


class SQLiteSink:
    """Commits each batch with a flush of the disk, so that neither a killed server nor a lost machine takes it back."""

    ROWS_AT_ONCE: ClassVar[int] = 5000

    def __init__(self, settings: LogSettings, folder: Path) -> None:
        self._path = folder / DATABASE
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the open file."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Commit all of them, or none."""
        try:
            connection = self._open()
            if predictions:
                with connection:  # commits, or rolls back on an error
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(INSERT, predictions)
        except ROW_ERRORS:
            raise
        except (OSError, sqlite3.Error) as err:
            raise self._failed(err) from err

    def delete(self, before: float) -> bool:
        """Delete the next of the predictions from before a moment."""
        rows = "SELECT rowid FROM predictions WHERE time < ? LIMIT ?"
        try:
            connection = self._open()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                deleted = connection.execute(
                    f"DELETE FROM predictions WHERE rowid IN ({rows})", (before, DELETED_AT_ONCE)
                )
            return deleted.rowcount == DELETED_AT_ONCE
        except (OSError, sqlite3.Error) as err:
            raise self._failed(err) from err

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            with contextlib.suppress(sqlite3.Error):  # what was committed is kept whatever becomes of the file
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """The connection to the file that has the path now; a removed one would take rows that nobody finds."""
        if self._connection and self._file == _identity(self._path):
            return self._connection
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, BUSY_S, isolation_level=None)
        try:
            _prepare(connection)
            self._file = _identity(self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _failed(self, err: Exception) -> SinkError:
        self.close()
        return SinkError(f"{str(self._path)!r} cannot be written: {err}. Check the disk, or move the file away.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or check that it is ours; two servers may do this at once."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            check_schema(connection)
            return
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_schema(connection: sqlite3.Connection) -> None:
    """See that a file is a prediction log of this version. Raises sqlite3.DatabaseError."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is a database of something else")
    if version != SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"its schema has version {version}, and {SCHEMA_VERSION} is the one known here")
