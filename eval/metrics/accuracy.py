"""Share of articles whose label is right."""

from collections.abc import Mapping

import numpy as np

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`accuracy`."""
    right = judged.outcome.predicted == judged.outcome.gold
    confusions = judged.resampled_confusions
    resampled = np.trace(confusions, axis1=1, axis2=2) / confusions.sum(axis=(1, 2))
    return {"accuracy": judged.share(right, np.ones_like(right), resampled)}
