"""Accuracy, precision, recall and F1, over all articles and for each label.

Macro and weighted averages run over the configured labels that gold contains. Unknown is a miss of the gold label and
no label of its own. A label that is never predicted has precision 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eval.intervals import percentile_interval, resampled_confusions, wilson
from eval.metrics.figure import Figure
from eval.outcomes import TaskOutcome

Floats = npt.NDArray[np.float64]


class LabelScores(NamedTuple):
    """Scores of each label, shape (..., labels)."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Floats
    """Gold articles of the label."""


def label_scores(confusion: npt.NDArray[np.int64]) -> LabelScores:
    """Scores of each label from confusion matrices, shape (..., labels, labels + 1)."""
    hits = np.diagonal(confusion[..., :-1], axis1=-2, axis2=-1).astype(float)
    predicted = confusion[..., :-1].sum(axis=-2)
    support = confusion.sum(axis=-1).astype(float)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(predicted + support, 1)
    return LabelScores(precision, recall, f1, support)


def averages(scores: LabelScores) -> dict[str, Floats]:
    """Macro and weighted averages over the labels that gold contains, shape (...)."""
    present = scores.support > 0
    labels = present.sum(axis=-1)
    weights = scores.support / scores.support.sum(axis=-1, keepdims=True)
    return {
        "macro_f1": (scores.f1 * present).sum(axis=-1) / labels,
        "weighted_f1": (scores.f1 * weights).sum(axis=-1),
        "macro_precision": (scores.precision * present).sum(axis=-1) / labels,
        "macro_recall": (scores.recall * present).sum(axis=-1) / labels,
    }


def measure(outcome: TaskOutcome) -> Mapping[str, Figure]:
    """`accuracy`, `macro_f1` and so on; but for both together also `f1.LABEL`, `precision.LABEL`, `recall.LABEL`."""
    confusion = outcome.confusion
    resampled = label_scores(resampled_confusions(confusion))
    scores = label_scores(confusion)
    right, total = int(np.trace(confusion)), int(confusion.sum())
    figures = {"accuracy": Figure(right / total, wilson(right, total))}
    spread = averages(resampled)
    figures |= {
        name: Figure(float(value), percentile_interval(spread[name])) for name, value in averages(scores).items()
    }
    if outcome.name != "joint":
        for index, label in enumerate(outcome.labels):
            if scores.support[index]:
                figures |= _label_figures(label, index, confusion, scores, resampled)
    return figures


def _label_figures(
    label: str, index: int, confusion: npt.NDArray[np.int64], scores: LabelScores, resampled: LabelScores
) -> dict[str, Figure]:
    hits = int(confusion[index, index])
    return {
        f"f1.{label}": Figure(float(scores.f1[index]), percentile_interval(resampled.f1[:, index])),
        f"precision.{label}": Figure(float(scores.precision[index]), wilson(hits, int(confusion[:, index].sum()))),
        f"recall.{label}": Figure(float(scores.recall[index]), wilson(hits, int(scores.support[index]))),
        f"support.{label}": Figure(float(scores.support[index])),
    }
