"""Bootstrap resamples: of articles, or of whole stories where articles about one story are not independent.

Seeded, so that a run repeats to the digit, and drawn in batches, so that memory does not grow with the articles.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; of groups: Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, eye_array

from eval.outcomes import TaskOutcome

RESAMPLES = 2000
SEED = 7
BATCH = 400_000
"""Counts held at once."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def resampled_sums(cells: Integers, contents: "csr_array[np.int64]", stories: Integers | None) -> Integers:
    """Sums of `contents[cells]` over resamples of the articles, shape (RESAMPLES, columns).

    Drawing n articles with replacement and counting them into cells is one multinomial draw over the cells, so this
    costs the same for a hundred articles as for a million. Stories are drawn one by one.

    Args:
        cells: The cell that each article falls into, shape (n,).
        contents: What an article of each cell adds to each column, shape (cells, columns).
        stories: Story of each article, shape (n,); None where every article stands for itself.
    """
    if stories is None:
        sizes = np.bincount(cells, minlength=contents.shape[0])
        seen = np.flatnonzero(sizes)
        batches = _article_batches(sizes[seen])
        units = contents[seen]
    else:
        numbers, names = pd.factorize(stories)
        ones = np.ones(len(cells), dtype=np.int64)
        units = csr_array((ones, (numbers, cells)), shape=(len(names), contents.shape[0])) @ contents
        batches = _story_batches(len(names))
    return np.concatenate([np.asarray(batch @ units) for batch in batches])


def resampled_confusions(outcome: TaskOutcome) -> Integers:
    """Confusion matrices of the resamples, shape (RESAMPLES, labels, labels + 1)."""
    size = len(outcome.labels)
    cells = outcome.gold * (size + 1) + outcome.predicted
    identity = csr_array(eye_array(size * (size + 1), dtype=np.int64))
    return resampled_sums(cells, identity, outcome.stories).reshape(RESAMPLES, size, size + 1)


def resampled_percentiles(values: Floats, percents: Sequence[float], stories: Integers | None) -> Floats:
    """Percentiles of the resamples as `numpy.percentile` interpolates them, shape (RESAMPLES, percents).

    Args:
        values: Shape (n,), n >= 1.
        percents: From 0 to 100.
        stories: Story of each value, shape (n,); None where every value stands for itself.
    """
    shares = np.asarray(percents) / 100
    if stories is None:
        return _article_percentiles(np.sort(values), shares)
    order = np.argsort(values)
    ascending, numbers = values[order], pd.factorize(stories)[0][order]
    found = np.empty((RESAMPLES, len(shares)))
    draws = (draw for batch in _story_batches(int(numbers.max()) + 1) for draw in batch)
    for resample, drawn in enumerate(draws):
        up_to = drawn[numbers].cumsum()
        place = shares * (up_to[-1] - 1)
        below = np.floor(place)
        left, right = (ascending[np.searchsorted(up_to, rank, side="right")] for rank in (below, np.ceil(place)))
        found[resample] = left + (right - left) * (place - below)
    return found


def _article_percentiles(ascending: Floats, shares: Floats) -> Floats:
    """Percentiles of resamples of single articles, drawn as order statistics and not article by article.

    The value of a rank in a resample stands where the uniform order statistic of that rank falls among the articles.

    Source: David and Nagaraja, Order Statistics, 2003, sections 2.1 and 2.5 (uniform ones are beta, and Markov).
    """
    rng = np.random.default_rng(SEED)
    articles = len(ascending)
    place = shares * (articles - 1)
    below = np.floor(place)
    here = rng.beta(below + 1, articles - below, size=(RESAMPLES, len(shares)))
    above = here + (1 - here) * rng.beta(1, np.maximum(articles - below - 1, 1), size=here.shape)
    left, right = (ascending[np.minimum((rank * articles).astype(int), articles - 1)] for rank in (here, above))
    return np.asarray(left + (right - left) * (place - below))


def _article_batches(sizes: Integers) -> Iterator[Integers]:
    """How many articles of each cell are in each resample, shape (batch, cells)."""
    rng = np.random.default_rng(SEED)
    total = int(sizes.sum())
    for rows in _batch_rows(len(sizes)):
        yield rng.multinomial(total, sizes / total, size=rows)


def _story_batches(stories: int) -> Iterator[Integers]:
    """How often each story is in each resample, shape (batch, stories)."""
    rng = np.random.default_rng(SEED)
    for rows in _batch_rows(stories):
        yield np.stack([np.bincount(rng.integers(0, stories, stories), minlength=stories) for _ in range(rows)])


def _batch_rows(width: int) -> Iterator[int]:
    rows = max(1, BATCH // width)
    for start in range(0, RESAMPLES, rows):
        yield min(rows, RESAMPLES - start)
