"""Intervals of shares and of differences: closed forms, percentiles of resamples, and the wider of both.

A bootstrap of rare events is too narrow, and of none it is a point. So shares and differences of shares are never
narrower than their score interval, which is given the number of independent articles that the stories are worth.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
QUANTILE = float(norm.ppf((1 + CONFIDENCE) / 2))

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """Lower and upper end of an interval; of 95 % unless said otherwise."""

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


def share_interval(hits: npt.NDArray[np.bool_], stories: Integers | None) -> Interval | None:
    """Wilson's interval of a share, with the effective number of articles where they come in stories.

    Args:
        hits: Whether each article counts, shape (n,).
        stories: Story of each article, shape (n,), or None.

    Source: Korn and Graubard, Confidence Intervals for Proportions With Small Expected Number of Positive Counts
        Estimated From Survey Data, Survey Methodology 1998 (the effective sample size).
    """
    if not len(hits):
        return None
    size = cautious_size(hits.astype(float), stories)
    return wilson(float(hits.mean()) * size, size)


def paired_interval(only_baseline: float, only_candidate: float, total: float, confidence: float) -> Interval:
    """Score interval of a difference of paired shares, candidate minus baseline.

    Args:
        only_baseline: Articles that only the baseline got right.
        only_candidate: Articles that only the candidate got right.
        total: All articles, > 0.
        confidence: Such as .95.

    Source: Tango, Equivalence Test and Confidence Interval for the Difference in Proportions for the Paired-Sample
        Design, Statistics in Medicine 1998.
    """
    quantile = float(norm.ppf((1 + confidence) / 2))
    high = _highest_difference(only_candidate, only_baseline, total, quantile)
    return Interval(-_highest_difference(only_baseline, only_candidate, total, quantile), high)


def effective_size(values: Floats, stories: Integers | None) -> float:
    """How many independent articles tell as much about the mean as these; n without stories.

    Where all values are the same nothing can be learned about the stories, and each counts as one article.

    Source: Kish, Survey Sampling, 1965, section 8.2 (n over the design effect).
    """
    if stories is None:
        return float(len(values))
    names, numbers = np.unique(stories, return_inverse=True)
    deviations = values - values.mean()
    alone = float((deviations**2).sum())
    grouped = float((np.bincount(numbers, weights=deviations) ** 2).sum())
    if len(names) == 1 or alone == 0:
        return float(len(names))
    return len(values) * min(1.0, alone / grouped) if grouped else float(len(values))


def cautious_size(values: Floats, stories: Integers | None) -> float:
    """The effective size, less for few stories.

    How far articles of a story are alike is itself only estimated, from as many stories as there are; a quantile of
    Student's t in place of the normal one makes up for that, and count / (count - 1) for the variance between few.

    Source: Korn and Graubard 1998, as above.
    """
    size = effective_size(values, stories)
    if stories is None or (count := len(np.unique(stories))) < 2:
        return size
    return size * (count - 1) / count * (QUANTILE / float(t.ppf((1 + CONFIDENCE) / 2, count - 1))) ** 2


def percentile_interval(values: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    """The middle of resampled values; None where one of them is not a number."""
    if np.isnan(values).any():
        return None
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def widest(*intervals: Interval | None) -> Interval | None:
    """The interval that covers all that are known."""
    known = [interval for interval in intervals if interval]
    return Interval(min(one.low for one in known), max(one.high for one in known)) if known else None


def _highest_difference(gains: float, losses: float, total: float, quantile: float) -> float:
    """The difference above gains - losses whose score is `quantile` standard errors away."""

    def excess(difference: float) -> float:
        linear = (2 * total - gains + losses) * difference - gains - losses
        constant = -losses * difference * (1 - difference)
        losing = (math.sqrt(max(linear**2 - 8 * total * constant, 0.0)) - linear) / (4 * total)
        variance = max(total * (2 * losing + difference * (1 - difference)), 0.0)
        return gains - losses - total * difference + quantile * math.sqrt(variance)

    # Without discordant articles the estimate itself is a root, and not the one that is looked for.
    start = (gains - losses) / total + 1e-12
    return float(brentq(excess, start, 1.0, xtol=1e-14)) if start < 1 else 1.0
