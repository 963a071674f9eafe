"""Mean squared distance between the probabilities and the gold label, summed over the labels, so from 0 to 2.

Source: Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review 1950, equation 2.
"""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import brier_score_loss

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`brier`."""
    scores = judged.probabilities
    if scores is None:
        return {}
    labels = np.arange(scores.shape[1])
    return {"brier": Figure(float(brier_score_loss(judged.outcome.gold, scores, labels=labels, scale_by_half=False)))}
