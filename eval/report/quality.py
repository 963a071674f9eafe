"""Figures of quality as rows of tables."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from eval.evaluation import EvaluationRecord
from eval.outcomes import Prediction, TaskOutcome
from eval.report.figures import Cell, cell
from eval.statistics.intervals import wilson

FRACTIONS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC AUC, macro",
    "ece": "calibration error",
}
LOSSES = {"log_loss": "log loss, nats", "brier": "Brier score, 0 to 2"}


class FigureRow(NamedTuple):
    """One figure of each task."""

    name: str
    cells: tuple[Cell | None, ...]
    is_fraction: bool


class LabelRow(NamedTuple):
    """Scores of one label."""

    label: str
    support: int
    scores: tuple[Cell | None, ...]
    """Precision, recall and F1."""


class TaskLabels(NamedTuple):
    """Scores of the labels of one task."""

    task: str
    rows: tuple[LabelRow, ...]


class Group(NamedTuple):
    """Accuracy over a part of the articles."""

    name: str
    articles: int
    accuracies: tuple[Cell, ...]


def figure_rows(record: EvaluationRecord, outcomes: Sequence[TaskOutcome]) -> Iterable[FigureRow]:
    """Figures of quality that at least one task has."""
    for name, title in {**FRACTIONS, **LOSSES}.items():
        cells = tuple(cell(record.metrics, f"{outcome.name}_{name}") for outcome in outcomes)
        if any(cells):
            yield FigureRow(title, cells, name in FRACTIONS)


def label_rows(record: EvaluationRecord, outcome: TaskOutcome) -> TaskLabels:
    """Precision, recall and F1 of each label."""
    support = np.bincount(outcome.gold, minlength=len(outcome.labels))
    rows = [
        LabelRow(
            label,
            int(support[index]),
            tuple(cell(record.metrics, f"{outcome.name}_{name}.{label}") for name in ("precision", "recall", "f1")),
        )
        for index, label in enumerate(outcome.labels)
    ]
    return TaskLabels(outcome.name, tuple(rows))


def groups(outcomes: Sequence[TaskOutcome], predictions: Sequence[Prediction]) -> Iterable[Group]:
    """Accuracy over hard articles and over the others; nothing where all are of one kind."""
    hard = np.array([prediction.row.hard for prediction in predictions])
    if hard.all() or not hard.any():
        return
    for name, members in (("hard", hard), ("others", ~hard)):
        accuracies = []
        for outcome in outcomes:
            right, total = int((outcome.gold == outcome.predicted)[members].sum()), int(members.sum())
            ends = wilson(right, total)
            accuracies.append(Cell(right / total, *(ends or ())))
        yield Group(name, int(members.sum()), tuple(accuracies))
