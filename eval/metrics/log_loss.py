"""Mean surprise at the gold label, in nats."""

from collections.abc import Mapping

import numpy as np
from sklearn import metrics

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`log_loss`."""
    scores = judged.probabilities
    if scores is None:
        return {}
    return {"log_loss": Figure(float(metrics.log_loss(judged.outcome.gold, scores, labels=np.arange(scores.shape[1]))))}
