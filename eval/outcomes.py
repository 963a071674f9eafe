"""What metrics are computed from: gold labels beside predictions, as label indices and confusion matrices."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from agent.labels import UNKNOWN, LabelSet, Task
from agent.records import ArticleError, Call, Classification
from eval.labeled_articles import LabeledArticle
from eval.labeled_set import LabeledSet

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ANSWERED = ("ok", "unreadable", "refused")
"""Outcomes of calls that the model answered, and that are billed."""


class Bill(NamedTuple):
    """The calls that were made for one article, and what they cost."""

    calls: int
    unanswered: int
    """Those of `calls` that the model never answered."""
    fresh: int
    """Those of `calls` that this evaluation made itself; the others were in the journal."""
    input_tokens: float | None
    """Of the answered calls, as the next three; None where one of them does not say."""
    cached_input_tokens: float | None
    output_tokens: float | None
    cost_usd: float | None
    unanswered_usd_at_most: float | None
    """What the unanswered calls can cost; None where nobody knows."""


class Answer(NamedTuple):
    """What figures need of one answer. The whole record is on disk, because it is a hundred times larger."""

    category: str | None
    sentiment: str | None
    category_probabilities: tuple[float, ...] | None
    """In the order of the configured labels, as the next."""
    sentiment_probabilities: tuple[float, ...] | None
    latency_ms: float | None
    """Of all calls for the article, one after the other; None where none was made."""
    bill: Bill
    unknown_reason: str | None = None
    error: ArticleError | None = None

    @classmethod
    def of(cls, record: Classification, labels: LabelSet) -> Self:
        """What figures need of a record."""
        return cls(
            record.category,
            record.sentiment,
            _in_order(record.category_probabilities, labels.by_task["category"]),
            _in_order(record.sentiment_probabilities, labels.by_task["sentiment"]),
            sum(call.latency_ms for call in record.calls) if record.calls else None,
            bill_of(record.calls),
            record.unknown_reason,
            record.error,
        )

    def label(self, task: Task) -> str | None:
        """The label of a task."""
        return self.category if task == "category" else self.sentiment

    def probabilities(self, task: Task) -> tuple[float, ...] | None:
        """The probabilities of a task, in the order of its labels."""
        return self.category_probabilities if task == "category" else self.sentiment_probabilities


class Prediction(NamedTuple):
    """One labelled article with the answer that it got."""

    row: LabeledArticle
    answer: Answer

    def label(self, task: Task) -> str | None:
        """The predicted label of a task."""
        return self.answer.label(task)

    def probabilities(self, task: Task) -> tuple[float, ...] | None:
        """The predicted probabilities of a task, in the order of its labels."""
        return self.answer.probabilities(task)


class TaskOutcome(NamedTuple):
    """Gold and predicted labels of one task over the same n >= 1 articles."""

    name: str
    """`category`, `sentiment`, or `joint` for both right at once."""
    labels: tuple[str, ...]
    gold: Integers
    """Indices into `labels`, shape (n,)."""
    predicted: Integers
    """Indices into `labels`, or len(labels) for Unknown; shape (n,)."""
    probabilities: Floats | None
    """Shape (n, len(labels)), rows sum to 1; None unless every answer has them."""
    stories: Integers | None = None
    """Number of the story that each article is about, shape (n,); None unless the rows say it."""

    @property
    def confusion(self) -> Integers:
        """Counts, shape (labels, labels + 1): gold in rows, predicted in columns, Unknown last."""
        size = len(self.labels)
        cells = np.bincount(self.gold * (size + 1) + self.predicted, minlength=size * (size + 1))
        return cells.reshape(size, size + 1)


def task_outcomes(dataset: LabeledSet, predictions: Sequence[Prediction], labels: LabelSet) -> list[TaskOutcome]:
    """The outcome of each task that has gold labels and that the model judges, and of both together.

    Args:
        dataset: The labelled set.
        predictions: One for each of its rows.
        labels: The configured labels.
    """
    judged = [
        _task_outcome(task, names, predictions)
        for task, names in labels.by_task.items()
        if task in dataset.tasks and any(prediction.label(task) is not None for prediction in predictions)
    ]
    return [*judged, joint_outcome(*judged)] if len(judged) == 2 else judged


def joint_outcome(first: TaskOutcome, second: TaskOutcome) -> TaskOutcome:
    """Both tasks as one, whose labels are pairs; Unknown in either is Unknown."""
    width = len(second.labels)
    labels = tuple(f"{left} / {right}" for left in first.labels for right in second.labels)
    unknown = (first.predicted == len(first.labels)) | (second.predicted == width)
    predicted = np.where(unknown, len(labels), first.predicted * width + second.predicted)
    return TaskOutcome("joint", labels, first.gold * width + second.gold, predicted, None, first.stories)


def _task_outcome(task: Task, names: tuple[str, ...], predictions: Sequence[Prediction]) -> TaskOutcome:
    index = {name: position for position, name in enumerate(names)}
    gold = np.array([index[prediction.row.gold[task]] for prediction in predictions])
    stories = story_numbers(predictions)
    predicted = np.array([index.get(prediction.label(task) or UNKNOWN, len(names)) for prediction in predictions])
    table = np.empty((len(predictions), len(names)))
    for place, prediction in enumerate(predictions):
        row = prediction.probabilities(task)
        if row is None:
            return TaskOutcome(task, names, gold, predicted, None, stories)
        table[place] = row
    table /= table.sum(axis=1, keepdims=True)
    return TaskOutcome(task, names, gold, predicted, table, stories)


def story_numbers(predictions: Iterable[Prediction]) -> Integers | None:
    """Number of the story of each article; one without a story is its own. None where no row has one."""
    names = [prediction.row.story_id for prediction in predictions]
    if not any(names):
        return None
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name or (place,), len(numbers)) for place, name in enumerate(names)])


def bill_of(calls: Sequence[Call]) -> Bill:
    """What the calls for one article used and cost."""
    answered = [call for call in calls if call.input_tokens is not None or call.outcome in ANSWERED]
    bounds = [call.cost_usd_at_most for call in calls if call.input_tokens is None and call.outcome not in ANSWERED]
    return Bill(
        calls=len(calls),
        unanswered=len(bounds),
        fresh=sum(not call.cached for call in calls),
        input_tokens=known_sum(call.input_tokens for call in answered),
        cached_input_tokens=known_sum(call.cached_input_tokens or 0 for call in answered),
        output_tokens=known_sum(call.output_tokens for call in answered),
        cost_usd=known_sum(call.cost_usd for call in answered),
        unanswered_usd_at_most=known_sum(bounds),
    )


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None when one of the values is unknown."""
    known = list(values)
    return None if None in known else math.fsum(value for value in known if value is not None)


def _in_order(probabilities: Mapping[str, float] | None, labels: Sequence[str]) -> tuple[float, ...] | None:
    return None if probabilities is None else tuple(probabilities.get(label, 0.0) for label in labels)
