"""Two versions that were asked the same articles: where a shadow's labels are others than those that were served.

Only there can labels change which version is better, so only there are they worth asking people for.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.errors import DataError
from agent.labels import TASKS, Task
from serving.predictions.record import Prediction

PARTNER_S = 3600.0
"""How much later than the other version a version may answer the same article of a request; restarts lie between."""

Versions = frozenset[str]
"""Of the registered model; two of them."""


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
    newest: Pair
    """The newest of them that differ."""
    compared: int
    """How often both versions answered it."""
    different: int
    """How often their labels differed."""


@dataclass
class _Counted:
    """What is known of one article so far."""

    compared: int = 0
    different: int = 0
    article_id: str | None = None
    newest: Pair | None = None


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
    _articles: dict[str, _Counted] = field(default_factory=dict)

    @property
    def articles(self) -> int:
        """How many different articles both answered."""
        return len(self._articles)

    @property
    def disagreements(self) -> list[Disagreement]:
        """Articles whose labels differed at least once."""
        return [
            Disagreement(counted.article_id, counted.newest, counted.compared, counted.different)
            for counted in self._articles.values()
            if counted.newest
        ]

    def add(self, pair: Pair) -> None:
        """Take in two answers."""
        self.last = max(self.last, pair.time)
        if pair.served.error or pair.shadow.error:
            self.unanswered += 1
            return
        self.answers += 1
        counted = self._articles.setdefault(pair.served.article_hash, _Counted())
        counted.compared += 1
        counted.article_id = pair.served.article_id or counted.article_id
        if pair.tasks:
            counted.different += 1
            counted.newest = pair


def compare(predictions: Iterable[Prediction]) -> Mapping[Versions, Comparison]:
    """Every two versions that answered the same articles, one of them as a shadow.

    Args:
        predictions: In the order of time, or nearly.
    """
    found: dict[Versions, Comparison] = {}
    for pair in pairs(predictions):
        versions = frozenset((pair.served.version, pair.shadow.version))
        if len(versions) == 2:
            found.setdefault(versions, Comparison(versions)).add(pair)
    return found


def pairs(predictions: Iterable[Prediction]) -> Iterable[Pair]:
    """Answers that belong together: of the same request and article, one served and one of a shadow."""
    served: OrderedDict[tuple[str, str], Prediction] = OrderedDict()
    shadows: OrderedDict[tuple[str, str], list[Prediction]] = OrderedDict()
    for prediction in predictions:
        key = prediction.request_id, prediction.article_hash
        if prediction.role != "shadow":
            served[key] = prediction
            yield from (Pair(prediction, shadow) for shadow in shadows.pop(key, ()))
        elif key in served:
            yield Pair(served[key], prediction)
        else:  # it was quicker
            shadows.setdefault(key, []).append(prediction)
        while served and next(iter(served.values())).time < prediction.time - PARTNER_S:
            served.popitem(last=False)
        while shadows and next(iter(shadows.values()))[0].time < prediction.time - PARTNER_S:
            shadows.popitem(last=False)


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
