import numpy as np

from eval.bootstrap import RESAMPLES, resampled_confusions
from eval.outcomes import TaskOutcome


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
