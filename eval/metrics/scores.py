"""Precision, recall and F1 of each label, and their averages, from counts.

Macro and weighted averages run over the configured labels that gold contains. Unknown is a miss of the gold label and
no label of its own. A label that is never predicted has precision 0.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class LabelScores(NamedTuple):
    """Scores of each label, shape (..., labels)."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Floats
    """Gold articles of the label."""


def label_scores(confusion: Integers) -> LabelScores:
    """Scores of each label from confusion matrices, shape (..., labels, labels + 1)."""
    hits = np.diagonal(confusion[..., :-1], axis1=-2, axis2=-1)
    return scores_of_counts(hits, confusion[..., :-1].sum(axis=-2), confusion.sum(axis=-1))


def scores_of_counts(hits: Integers, predicted: Integers, support: Integers) -> LabelScores:
    """Scores of each label from how often it was right, was predicted and is in gold, shape (..., labels)."""
    return LabelScores(
        precision=hits / np.maximum(predicted, 1),
        recall=hits / np.maximum(support, 1),
        f1=2 * hits / np.maximum(predicted + support, 1),
        support=support.astype(float),
    )


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
