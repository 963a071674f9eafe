"""Two versions that were asked the same articles: where a shadow's labels are others than those that were served.

Only there can labels change which version is better, so only there are they worth asking people for. Articles are
counted in a temporary file, so that memory does not grow with the log.
"""

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agent.errors import DataError
from agent.labels import TASKS, Task
from serving.predictions.record import Prediction

PARTNER_S = 3600.0
"""How much later than the other version a version may answer the same article of a request; restarts lie between."""

Versions = frozenset[str]
"""Of the registered model; two of them."""
Order = Literal["confident", "newest", "random"]
ORDERS: Mapping[Order, str] = {
    "confident": "confidence DESC, time DESC",
    "newest": "time DESC",
    "random": "article_hash",  # nobody knows what it will be for a text
}
"""What disagreements are sorted by. The start of a random order stands for the whole; that of another one does not."""
ARTICLES = """
CREATE TABLE articles (
    article_hash TEXT PRIMARY KEY,
    article_id TEXT,
    compared INTEGER,
    different INTEGER,
    differ_in TEXT,
    confidence REAL,
    time REAL,
    newest TEXT
) WITHOUT ROWID
"""
"""The last four are of the newest pair that differs, and NULL where none does."""
TAKE_IN = """
INSERT INTO articles VALUES (?, ?, 1, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    article_id = coalesce(excluded.article_id, article_id),
    compared = compared + 1,
    different = different + excluded.different,
    differ_in = coalesce(excluded.differ_in, differ_in),
    confidence = coalesce(excluded.confidence, confidence),
    time = coalesce(excluded.time, time),
    newest = coalesce(excluded.newest, newest)
"""
DISAGREEMENTS = """
SELECT article_id, COUNT(*) OVER (PARTITION BY article_id), compared, different, newest
FROM articles WHERE newest IS NOT NULL ORDER BY {} LIMIT ?
"""


class Pair(NamedTuple):
    """Two answers to the same article of one request."""

    served: Prediction
    shadow: Prediction

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks in which the labels differ; one that either version does not judge is none."""
        labels = ((task, getattr(self.served, task), getattr(self.shadow, task)) for task in TASKS)
        return tuple(task for task, one, other in labels if None not in (one, other) and one != other)

    @property
    def confidence(self) -> float:
        """How sure the less sure version was where they differ, 0 where no provider has probabilities."""

        def least(task: Task) -> float:
            given = (getattr(one, f"{task}_confidence") for one in self)
            return min((value for value in given if value is not None), default=0.0)

        return max(map(least, self.tasks), default=0.0)

    @property
    def time(self) -> float:
        """When the later one was answered."""
        return max(self.served.time, self.shadow.time)


class Disagreement(NamedTuple):
    """An article that got different labels."""

    article_id: str | None
    """The caller's, if it was ever given."""
    namesakes: int
    """How many of the disagreements have this id, itself included."""
    compared: int
    """How often both versions answered it."""
    different: int
    """How often their labels differed."""
    newest: Pair
    """The newest of them that differ."""


def temporary_table() -> sqlite3.Connection:
    """A table of articles in a file without a name, which is gone with its connection."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute(ARTICLES)
    connection.execute("BEGIN")
    return connection


@dataclass
class Comparison:
    """All articles that two versions were both asked."""

    versions: Versions
    answers: int = 0
    """How often both answered."""
    unanswered: int = 0
    """How often one of them, or both, had no answer."""
    last: float = 0.0
    """When they were compared last."""
    _table: sqlite3.Connection = field(default_factory=temporary_table)

    @property
    def articles(self) -> int:
        """How many different articles both answered."""
        return self._count("COUNT(*)")

    @property
    def different(self) -> int:
        """Articles whose labels differed at least once."""
        return self._count("COUNT(newest)")

    @property
    def different_in(self) -> Mapping[Task, int]:
        """Those of them whose labels of a task differed, the last time that any did."""
        return {task: self._count(f"COUNT(*) FILTER (WHERE differ_in LIKE '%{task}%')") for task in TASKS}

    def disagreements(self, order: Order, limit: int | None = None) -> Iterator[Disagreement]:
        """Articles whose labels differed at least once, `limit` of them at most."""
        with room_needed():  # to sort them
            found = self._table.execute(DISAGREEMENTS.format(ORDERS[order]), (limit or -1,))
            for article_id, namesakes, compared, different, newest in found:
                pair = Pair(*map(Prediction._make, json.loads(newest)))
                yield Disagreement(article_id, namesakes, compared, different, pair)

    def add(self, pair: Pair) -> None:
        """Take in two answers."""
        self.last = max(self.last, pair.time)
        if pair.served.error or pair.shadow.error:
            self.unanswered += 1
            return
        self.answers += 1
        found = (" ".join(pair.tasks), pair.confidence, pair.time, json.dumps(pair)) if pair.tasks else (None,) * 4
        self._table.execute(TAKE_IN, (pair.served.article_hash, pair.served.article_id, bool(pair.tasks), *found))

    def _count(self, what: str) -> int:
        return int(self._table.execute(f"SELECT {what} FROM articles").fetchone()[0])


def compare(predictions: Iterable[Prediction]) -> Mapping[Versions, Comparison]:
    """Every two versions that answered the same articles, one of them as a shadow.

    Args:
        predictions: In the order of time, or nearly.

    Raises:
        DataError: the temporary file cannot be written.
    """
    found: dict[Versions, Comparison] = {}
    with room_needed():
        for pair in pairs(predictions):
            versions = frozenset((pair.served.version, pair.shadow.version))
            if len(versions) == 2:
                if versions not in found:
                    found[versions] = Comparison(versions)
                found[versions].add(pair)
    return found


@contextmanager
def room_needed() -> Iterator[None]:
    """Say what to do where there is none for the temporary file. Raises DataError."""
    try:
        yield
    except sqlite3.Error as err:
        raise DataError(
            f"SQLite's temporary file cannot be written: {err}. Make room on its disk, or name another folder in "
            "SQLITE_TMPDIR, or compare less with --since."
        ) from err


def pairs(predictions: Iterable[Prediction]) -> Iterable[Pair]:
    """Answers that belong together: of the same request and article, one served and one of a shadow."""
    waiting: OrderedDict[tuple[str, str], list[Prediction]] = OrderedDict()
    for prediction in predictions:
        key = prediction.request_id, prediction.article_hash
        others = waiting.setdefault(key, [])
        if others and (others[0].role == "shadow") != (prediction.role == "shadow"):
            other = others.pop(0)
            yield Pair(other, prediction) if prediction.role == "shadow" else Pair(prediction, other)
        else:
            others.append(prediction)
        if not others:
            del waiting[key]
        while waiting and next(iter(waiting.values()))[0].time < prediction.time - PARTNER_S:
            waiting.popitem(last=False)


def choose(comparisons: Mapping[Versions, Comparison], versions: Versions | None = None) -> Comparison:
    """The comparison of these versions, or the one that went on last.

    Raises:
        DataError: there is none.
    """
    if versions is None:
        if comparisons:
            return max(comparisons.values(), key=lambda each: each.last)
        raise DataError(
            "No article was answered by two versions. Let a shadow be asked beside the champion, or reach further "
            "back with --since."
        )
    if versions in comparisons:
        return comparisons[versions]
    there = ", ".join(sorted(" and ".join(sorted(each)) for each in comparisons)) or "none"
    raise DataError(
        f"The versions {' and '.join(sorted(versions))!r} were not asked the same articles. Compared are: {there}. "
        "Correct --versions, or reach further back with --since."
    )
