"""Expected calibration error: how far confidence is from accuracy.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
"""

from collections.abc import Mapping

import numpy as np

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged

BINS = 10


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`ece`: the mean distance over ten equal-width bins of confidence, weighted by their articles."""
    if judged.probabilities is None:
        return {}
    confidence = judged.probabilities.max(axis=1)
    right = judged.outcome.predicted == judged.outcome.gold
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(bins, weights=right - confidence, minlength=BINS))
    return {"ece": Figure(float(gaps.sum() / len(right)))}
