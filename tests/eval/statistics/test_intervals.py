import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from eval.statistics.intervals import Interval, effective_size, paired_interval, share_interval, widest, wilson


def test_wilson_interval_of_a_published_example() -> None:
    """Newcombe, Statistics in Medicine 1998, table I, method 3: 81 of 263."""
    interval = wilson(81, 263)
    assert interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval == pytest.approx(proportion_confint(81, 263, method="wilson"), abs=1e-12)
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("only_baseline", "only_candidate", "total", "expected"),
    [(7, 1, 21, (-0.5172, -0.0260)), (16, 6, 161, (-0.1240, -0.0054))],
)
def test_paired_intervals_of_published_examples(
    only_baseline: int, only_candidate: int, total: int, expected: tuple[float, float]
) -> None:
    """Fagerland, Lydersen and Laake 2017, chapter 8, Tango's interval: Bentur et al. 2009 and Cavo et al. 2012."""
    assert paired_interval(only_baseline, only_candidate, total, 0.95) == pytest.approx(expected, abs=5e-5)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_swapped_paired_intervals_negate(losses: int, gains: int, concordant: int) -> None:
    total = losses + gains + concordant
    low, high = paired_interval(losses, gains, total, 0.95)
    assert -1 <= low < (gains - losses) / total < high <= 1
    assert paired_interval(gains, losses, total, 0.95) == (-high, -low)
    narrow = paired_interval(losses, gains, total, 0.9)
    assert low < narrow.low
    assert narrow.high < high


def test_effective_size_is_that_of_cluster_robust_standard_errors() -> None:
    """Statsmodels' variance of a mean by groups, over that without; its small-sample correction switched off."""
    rng = np.random.default_rng(3)
    stories = rng.integers(0, 60, 400)
    values = (rng.random(60)[stories] < rng.random(400)).astype(float)
    fit = OLS(values, np.ones(400))
    robust = fit.fit(cov_type="cluster", cov_kwds={"groups": stories, "use_correction": False}).cov_params()[0, 0]
    assert effective_size(values, stories) == pytest.approx(values.var() / robust, rel=1e-9)
    assert effective_size(values, stories) < 200
    assert effective_size(values, None) == effective_size(values, np.arange(400)) == 400
    assert effective_size(np.ones(400), stories) == len(set(stories))
    assert effective_size(values, np.zeros(400)) == 1


def test_articles_that_repeat_each_other_count_once() -> None:
    """Ten copies of every article say as much as the articles alone, a little less for being 40 stories only."""
    hits = np.array([True] * 30 + [False] * 10)
    size = 39 * (norm.ppf(0.975) / t.ppf(0.975, 39)) ** 2
    assert 36 < size < 39
    assert share_interval(np.repeat(hits, 10), np.repeat(np.arange(40), 10)) == pytest.approx(wilson(0.75 * size, size))
    assert share_interval(hits, None) == wilson(30, 40)
    assert share_interval(hits[:0], None) is None


def test_widest_covers_what_is_known() -> None:
    assert widest(Interval(0.2, 0.5), None, Interval(0.3, 0.6)) == (0.2, 0.6)
    assert widest(None) is None
