"""95 % intervals: Wilson for proportions, bootstrap for the rest; seeded, so that a run repeats to the digit."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 7

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Lower and upper end of a 95 % interval."""

    low: float
    high: float


def wilson(successes: float, total: float) -> Interval | None:
    """Interval of a proportion; None where nothing was counted.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
    """
    if total == 0:
        return None
    low, high = proportion_confint(successes, total, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def resampled_confusions(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Confusion matrices of bootstrap resamples of the rows, shape (RESAMPLES, labels, labels + 1).

    Drawing n rows with replacement and counting them into cells is one multinomial draw over the cells, so this costs
    the same for a hundred articles as for a million.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    total = int(confusion.sum())
    draws = np.random.default_rng(SEED).multinomial(total, confusion.ravel() / total, size=RESAMPLES)
    return draws.reshape(RESAMPLES, *confusion.shape)


def percentile_interval(values: Floats) -> Interval | None:
    """The middle 95 % of resampled values; None where one of them is not a number."""
    if np.isnan(values).any():
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def bootstrap_interval(sample: Floats, statistic: Callable[..., Floats]) -> Interval | None:
    """Percentile bootstrap interval of a statistic that takes `axis`; None for fewer than two values."""
    if len(sample) < 2:
        return None
    result = bootstrap(
        (sample,),
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return Interval(float(result.confidence_interval.low), float(result.confidence_interval.high))
