"""Whether two candidates that answered the same articles differ by more than chance."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def mcnemar(only_first: npt.ArrayLike, only_second: npt.ArrayLike) -> Floats:
    """Two-sided p-values of the exact McNemar test; 1 where no article is discordant.

    Args:
        only_first: Articles that only the first got right, any shape.
        only_second: Articles that only the second got right, the same shape.

    Source: McNemar, Psychometrika 1947; exact as the sign test of the discordant pairs.
    """
    first, second = np.asarray(only_first), np.asarray(only_second)
    return np.asarray(np.minimum(1.0, 2 * binom.cdf(np.minimum(first, second), first + second, 0.5)))


def sign_flip(sums: Integers) -> float:
    """Two-sided p-value of the exact permutation test that swaps the two candidates in whole stories.

    A swap turns the sign of a story's sum, so the sum over all stories is, for each size of sum, that size times a
    symmetric binomial. Their convolution is the distribution over all 2^stories swaps: nothing is sampled. Where every
    story has one article, this is the exact McNemar test.

    Args:
        sums: Articles that only the second got right minus those that only the first got right, by story.

    Source: Pesarin and Salmaso, Permutation Tests for Complex Data, 2010, section 1.9 (paired, by unit).
    """
    sizes, stories = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    chances = np.ones(1)
    for size, count in zip(sizes, stories, strict=True):
        swapped = np.zeros(size * count + 1)
        swapped[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, swapped)
    distance = abs(2 * np.arange(len(chances)) - (len(chances) - 1))
    return float(min(1.0, chances[distance >= abs(int(sums.sum()))].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having been looked at together.

    Not statsmodels' `multipletests`, which collects all garbage of the process at each call (26 ms).

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 1979.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    raised = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return [float(value) for value in raised[np.argsort(order)]]
