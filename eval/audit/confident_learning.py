"""Gold labels that a model's own probabilities contradict.

An article is counted under another label when its probability of that label is at least what articles with that gold
label have on average. The probabilities must be out-of-sample: of a model that did not learn from these articles.

Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 2021, section
3.1 for thresholds, confident joint and its calibration, section 3.2 for its off-diagonals as label errors (method 2).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NONE = -1
ROUNDING = 1e-9
"""So that a probability that equals the mean of many is not below it."""


class ConfidentErrors(NamedTuple):
    """What confident learning says about n articles."""

    suggested: npt.NDArray[np.int64]
    """The label that the article seems to have where it is not gold; `NONE` elsewhere. Shape (n,)."""
    estimated_errors: float
    """How many of the n gold labels are wrong, by the calibrated joint of gold and true labels."""


def confident_errors(probabilities: npt.NDArray[np.float64], gold: npt.NDArray[np.int64]) -> ConfidentErrors:
    """Find the off-diagonal articles of the confident joint.

    Args:
        probabilities: Out-of-sample, shape (n, labels), n >= 1.
        gold: Indices of labels, shape (n,).
    """
    labels = probabilities.shape[1]
    support = np.bincount(gold, minlength=labels)
    own = probabilities[np.arange(len(gold)), gold]
    means = np.bincount(gold, weights=own, minlength=labels) / np.maximum(support, 1)
    thresholds = np.where(support > 0, means, np.inf)
    confident = probabilities >= thresholds - ROUNDING
    best = np.where(confident, probabilities, -1.0).argmax(axis=1)
    counted = confident.any(axis=1)
    joint = np.zeros((labels, labels))
    np.add.at(joint, (gold[counted], best[counted]), 1)
    rows = joint.sum(axis=1)
    right = np.divide(np.diagonal(joint), rows, out=np.ones(labels), where=rows > 0)
    suggested = np.where(counted & (best != gold), best, NONE)
    return ConfidentErrors(suggested, float((support * (1 - right)).sum()))
