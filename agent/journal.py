"""Answers that were paid for, on disk, so that nobody pays for one twice: an SQLite file that many processes may share.

An answer is found again by what was asked, byte for byte: service, request body (model, prompt, article, parameters,
and the conversation so far) and the number of the repeat. Whatever changes one of them is another question.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Self

from pydantic import TypeAdapter, ValidationError
from tenacity import retry, retry_if_exception_message, stop_after_delay, wait_fixed

from agent.errors import JournalError
from agent.records import Call
from agent.wires import Reply

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4E43414A
BUSY_S = 60.0
"""How long a process waits for another one that writes, in seconds."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    article_hash TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    asked_at REAL NOT NULL,
    attempt INTEGER NOT NULL,
    cost_usd REAL,
    text TEXT NOT NULL,
    stop TEXT NOT NULL,
    calls TEXT NOT NULL
) WITHOUT ROWID
"""
CALLS = TypeAdapter(tuple[Call, ...])


class Asked(NamedTuple):
    """What was asked, besides the bytes: for lists, and for starting over."""

    provider: str
    model: str
    config_hash: str
    article_hash: str
    repeat: int


class Kept(NamedTuple):
    """An answer as it was, with the calls that it took."""

    reply: Reply
    calls: tuple[Call, ...]
    """Failed ones first, the answered one last."""


class Summary(NamedTuple):
    """What the journal holds of one configuration."""

    provider: str
    model: str
    config_hash: str
    answers: int
    articles: int
    cost_usd: float | None
    """None when nobody knows the price of one of them."""
    first: float
    """When, in seconds since 1970."""
    last: float


class Journal:
    """The answers in one file, made when it is not there. Close it, or use it as a context manager.

    Args:
        path: Of the file.

    Raises:
        JournalError: it cannot be opened, is no journal, or is one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection, self._writing = self._connect(), self._connect()
        self._queue: SimpleQueue[tuple[tuple[object, ...], asyncio.Future[None]] | None] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def find(self, key: bytes) -> Kept | None:
        """The answer to a question; None when there is none. Raises JournalError."""
        with self._errors("read"):
            row = self._connection.execute("SELECT text, stop, calls FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        text, stop, calls = row
        with self._errors("read"):
            recorded = CALLS.validate_json(calls)
        return Kept(Reply(text, stop, None), tuple(call.model_copy(update={"cached": True}) for call in recorded))

    async def keep(self, key: bytes, asked: Asked, reply: Reply, calls: Sequence[Call]) -> None:
        """Keep an answer; it is on disk when this returns.

        Args:
            key: See `question_key`.
            asked: What was asked.
            reply: The answer, without secrets and half characters.
            calls: Those that it took.

        Raises:
            JournalError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        stored = CALLS.dump_json(tuple(calls)).decode()
        cost = calls[-1].cost_usd
        row = (key, *asked, time.time(), len(calls), cost, reply.text, reply.stop, stored)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="news-classifier-journal", daemon=True)
            self._writer.start()
        self._queue.put((row, written))
        await written

    def forget(self, asked: Iterable[Asked]) -> int:
        """Delete the answers to these; returns how many there were. Raises JournalError."""
        named = ", ".join(Asked._fields)
        with self._errors("written"), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(f"CREATE TEMP TABLE forgotten ({named}, PRIMARY KEY ({named})) WITHOUT ROWID")
            self._connection.executemany("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?, ?, ?)", asked)
            where = f"({named}) IN (SELECT * FROM forgotten)"  # one pass over the answers, however many are asked for
            deleted = self._connection.execute(f"DELETE FROM answers WHERE {where}").rowcount
            self._connection.execute("DROP TABLE forgotten")
            return deleted

    def summaries(self) -> list[Summary]:
        """What it holds, newest first. Raises JournalError."""
        with self._errors("read"):
            rows = self._connection.execute(
                "SELECT provider, model, config_hash, COUNT(*), COUNT(DISTINCT article_hash), "
                "CASE WHEN COUNT(cost_usd) = COUNT(*) THEN SUM(cost_usd) END, MIN(asked_at), MAX(asked_at) "
                "FROM answers GROUP BY provider, model, config_hash ORDER BY MAX(asked_at) DESC"
            )
            return [Summary(*row) for row in rows]

    def prune(self, before: float, model: str | None = None) -> int:
        """Delete answers from before a moment (seconds since 1970), of one model or all; returns how many."""
        with self._errors("written"):
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                deleted = self._connection.execute(
                    "DELETE FROM answers WHERE asked_at < ? AND model = coalesce(?, model)", (before, model)
                ).rowcount
            self._connection.execute("VACUUM")
            return deleted

    def close(self) -> None:
        """Write what waits to be written, and close the file."""
        if self._writer:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._writing.close()
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        with self._errors("opened"):
            connection = sqlite3.connect(self.path, BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _write(self) -> None:
        """Write what was handed over: everything that waits in one commit, so that many answers share a disk flush."""
        ended = False
        while not ended:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            entries = [entry for entry in batch if entry]
            error = self._commit([row for row, _ in entries]) if entries else None
            for _, written in entries:
                with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile
                    written.get_loop().call_soon_threadsafe(_finish, written, error)

    def _commit(self, rows: Sequence[tuple[object, ...]]) -> Exception | None:
        places = ", ".join("?" * len(rows[0]))
        try:
            with self._errors("written"), self._writing:  # commits, or rolls back on an error
                self._writing.execute("BEGIN IMMEDIATE")
                self._writing.executemany(f"INSERT OR REPLACE INTO answers VALUES ({places})", rows)
        except Exception as err:  # who waits for the answer to be kept gets it, whatever it is
            return err
        return None

    @contextlib.contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValidationError) as err:
            raise JournalError(
                f"The journal {str(self.path)!r} cannot be {verb}: {err}. Check the disk, or move the file away."
            ) from err

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


def question_key(asked: Asked, base_url: str, body: bytes) -> bytes:
    """What an answer is found by: sha256 over the service, candidate, number of the repeat and the request's body."""
    who = "\0".join((asked.provider, base_url, asked.config_hash, str(asked.repeat)))
    return hashlib.sha256(f"{who}\0".encode() + body).digest()


@retry(
    retry=retry_if_exception_message(match=".*locked"),
    wait=wait_fixed(0.1),
    stop=stop_after_delay(BUSY_S),
    reraise=True,
)
def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or check that it is ours; two processes may do this at once."""
    with connection:
        connection.execute("BEGIN")  # the three belong together while another process makes the file
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner != APPLICATION_ID and (tables or owner or version):
        raise sqlite3.DatabaseError("it is a database of something else")
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it is of version {version}, newer than {SCHEMA_VERSION}, the one known here")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if version < SCHEMA_VERSION:
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA}; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
        )


def _finish(written: "asyncio.Future[None]", error: Exception | None) -> None:
    if written.done():
        return
    if error:
        written.set_exception(error)
    else:
        written.set_result(None)
