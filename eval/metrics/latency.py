"""How long an article took: the calls made for it, one after the other, in milliseconds."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from eval.metrics.figure import Figure
from eval.outcomes import Prediction, story_numbers
from eval.statistics.bootstrap import resampled_percentiles
from eval.statistics.intervals import percentile_interval

PERCENTILES = (50, 95, 99)


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`latency_ms_p50`, `_p95`, `_p99` over the articles that were answered by at least one call."""
    totals = np.array([prediction.answer.latency_ms for prediction in timed(predictions)], dtype=float)
    if not len(totals):
        return {}
    found = np.percentile(totals, PERCENTILES)
    if len(totals) == 1:
        return {f"latency_ms_p{percent}": Figure(float(found[0])) for percent in PERCENTILES}
    resampled = resampled_percentiles(totals, PERCENTILES, story_numbers(timed(predictions)))
    return {
        f"latency_ms_p{percent}": Figure(float(found[place]), percentile_interval(resampled[:, place]))
        for place, percent in enumerate(PERCENTILES)
    }


def timed(predictions: Sequence[Prediction]) -> Iterator[Prediction]:
    """Those that were answered by at least one call, one at a time, because all at once are large."""
    return (prediction for prediction in predictions if prediction.answer.latency_ms is not None)
