import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ks_2samp

from eval.outcomes import TaskOutcome
from eval.statistics.bootstrap import RESAMPLES, SEED, resampled_confusions, resampled_percentiles


def outcome(cells: list[list[int]], stories: np.ndarray | None = None) -> TaskOutcome:
    """An outcome with a given confusion matrix."""
    counts = np.array(cells)
    gold, predicted = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape))
    return TaskOutcome("category", tuple("abcdefgh"[: len(cells)]), gold, predicted, None, stories)


def test_resampled_confusions_have_the_mean_and_spread_of_a_binomial() -> None:
    """Within three standard errors of a bootstrap of 2,000: of the mean .0458 / 2000 ** .5, of the spread 1.6 %."""
    draws = resampled_confusions(outcome([[30, 10, 0], [20, 40, 0]]))
    accuracy = (draws[:, 0, 0] + draws[:, 1, 1]) / 100
    assert (draws.sum(axis=(1, 2)) == 100).all()
    spread = (0.7 * 0.3 / 100) ** 0.5
    assert abs(accuracy.mean() - 0.7) < 3 * spread / RESAMPLES**0.5
    assert abs(accuracy.std() / spread - 1) < 3 / (2 * RESAMPLES) ** 0.5


def test_stories_are_drawn_whole() -> None:
    """Ten copies of each of 40 articles have the spread of 40 articles, within three standard errors."""
    draws = resampled_confusions(outcome([[300, 100, 0], [0, 0, 0]], np.repeat(np.arange(40), 10)))
    accuracy = draws[:, 0, 0] / 400
    spread = (0.75 * 0.25 / 40) ** 0.5
    assert (draws % 10 == 0).all()
    assert abs(accuracy.mean() - 0.75) < 3 * spread / RESAMPLES**0.5
    assert abs(accuracy.std() / spread - 1) < 3 / (2 * RESAMPLES) ** 0.5


@settings(max_examples=20)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_percentiles_of_a_resample_of_stories_are_numpys(values: list[int]) -> None:
    found = resampled_percentiles(np.array(values, dtype=float), (0, 50, 95, 100), np.arange(len(values)))
    rng = np.random.default_rng(SEED)
    for row in found[:50]:
        sample = np.array(values)[rng.integers(0, len(values), len(values))]
        assert row == pytest.approx(np.percentile(sample, (0, 50, 95, 100)), abs=1e-9)


@pytest.mark.parametrize("stories", [None, np.arange(400)], ids=["articles", "stories"])
@pytest.mark.parametrize("percent", [0, 50, 95, 99, 100])
def test_resampled_percentiles_are_distributed_as_those_of_scipy(percent: int, stories: np.ndarray | None) -> None:
    """Two samples of 2,000 that differ by Monte Carlo error alone: Kolmogorov and Smirnov's p is above .001."""
    values = np.random.default_rng(5).lognormal(6, 0.5, 400)
    expected = bootstrap(
        (values,),
        lambda sample, axis: np.percentile(sample, percent, axis=axis),
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(11),
    )
    found = resampled_percentiles(values, (percent,), stories)[:, 0]
    assert ks_2samp(found, expected.bootstrap_distribution).pvalue > 0.001


def test_percentiles_of_stories_spread_like_the_stories() -> None:
    values = np.random.default_rng(5).normal(500, 50, 40)
    alone = resampled_percentiles(values, (50,), None)
    copied = resampled_percentiles(np.repeat(values, 10), (50,), np.repeat(np.arange(40), 10))
    assert copied.std() == pytest.approx(alone.std(), rel=0.1)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for stories in (None, np.arange(100) // 3):
        whole = resampled_confusions(outcome([[30, 10, 0], [20, 40, 0]], stories))
        with monkeypatch.context() as patched:
            patched.setattr("eval.statistics.bootstrap.BATCH", 70)
            assert (resampled_confusions(outcome([[30, 10, 0], [20, 40, 0]], stories)) == whole).all()


def test_a_hundred_thousand_articles_take_little_memory() -> None:
    rng = np.random.default_rng(1)
    gold, predicted = rng.integers(0, 8, 100_000), rng.integers(0, 9, 100_000)
    given_stories = TaskOutcome("category", tuple("abcdefgh"), gold, predicted, None, rng.integers(0, 30_000, 100_000))
    tracemalloc.start()
    resampled_confusions(given_stories)
    resampled_percentiles(rng.random(100_000), (50, 95, 99), given_stories.stories)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
