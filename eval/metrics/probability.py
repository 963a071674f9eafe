"""How good the probabilities are, where every answer has them and gold has at least two labels."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from eval.metrics.figure import Figure
from eval.outcomes import TaskOutcome

ECE_BINS = 10


def measure(outcome: TaskOutcome) -> Mapping[str, Figure]:
    """`roc_auc` (macro, one against the rest), `log_loss` (nats), `brier` (0 to 2, summed over labels), `ece`."""
    if outcome.probabilities is None or len(np.unique(outcome.gold)) < 2:
        return {}
    labels = np.arange(len(outcome.labels))
    figures = {
        "log_loss": Figure(float(log_loss(outcome.gold, outcome.probabilities, labels=labels))),
        "brier": Figure(
            float(brier_score_loss(outcome.gold, outcome.probabilities, labels=labels, scale_by_half=False))
        ),
        "ece": Figure(expected_calibration_error(outcome)),
    }
    if len(np.unique(outcome.gold)) == len(labels):
        figures["roc_auc"] = Figure(_roc_auc(outcome))
    return figures


def expected_calibration_error(outcome: TaskOutcome) -> float:
    """Mean distance between confidence and accuracy over ten equal-width bins of confidence, weighted by their size.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    assert outcome.probabilities is not None
    confidence = outcome.probabilities.max(axis=1)
    right = outcome.predicted == outcome.gold
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.abs(np.bincount(bins, weights=right - confidence, minlength=ECE_BINS))
    return float(gaps.sum() / len(right))


def _roc_auc(outcome: TaskOutcome) -> float:
    scores = outcome.probabilities
    one_hot = np.eye(len(outcome.labels))[outcome.gold]
    return float(roc_auc_score(one_hot, scores, average="macro"))
