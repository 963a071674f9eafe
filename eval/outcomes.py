"""What metrics are computed from: gold labels beside predictions, as label indices and confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agent.labels import UNKNOWN, LabelSet, Task
from agent.records import Classification
from eval.labeled_set import LabeledArticle, LabeledSet

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Prediction(NamedTuple):
    """One labelled article with the answer that it got."""

    row: LabeledArticle
    answer: Classification

    def label(self, task: Task) -> str | None:
        """The predicted label of a task."""
        return self.answer.category if task == "category" else self.answer.sentiment

    def probabilities(self, task: Task) -> Mapping[str, float] | None:
        """The predicted probabilities of a task."""
        return self.answer.category_probabilities if task == "category" else self.answer.sentiment_probabilities


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
    return TaskOutcome("joint", labels, first.gold * width + second.gold, predicted, None)


def _task_outcome(task: Task, names: tuple[str, ...], predictions: Sequence[Prediction]) -> TaskOutcome:
    index = {name: position for position, name in enumerate(names)}
    gold = np.array([index[prediction.row.gold[task]] for prediction in predictions])
    predicted = np.array([index.get(prediction.label(task) or UNKNOWN, len(names)) for prediction in predictions])
    rows = [prediction.probabilities(task) for prediction in predictions]
    if any(row is None for row in rows):
        return TaskOutcome(task, names, gold, predicted, None)
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows if row is not None])
    return TaskOutcome(task, names, gold, predicted, table / table.sum(axis=1, keepdims=True))
