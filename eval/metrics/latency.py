"""How long an article took: the calls made for it, one after the other, in milliseconds."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from eval.intervals import bootstrap_interval
from eval.metrics.figure import Figure
from eval.outcomes import Prediction

PERCENTILES = (50, 95, 99)


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`latency_ms_p50`, `_p95`, `_p99` over the articles that were answered by at least one call."""
    latencies = (prediction.answer.latency_ms for prediction in predictions)
    totals = np.array([latency for latency in latencies if latency is not None])
    if not len(totals):
        return {}
    return {
        f"latency_ms_p{percent}": Figure(
            float(np.percentile(totals, percent)), bootstrap_interval(totals, partial(np.percentile, q=percent))
        )
        for percent in PERCENTILES
    }
