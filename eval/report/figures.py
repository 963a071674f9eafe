"""Figures and pictures of a report as plain data: what the templates draw, without their markup."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agent.labels import UNKNOWN
from eval.outcomes import Floats, Prediction, TaskOutcome

HEAT_LEVELS = 10
BINS = 48
SHORTEST_MS = 0.001
BANDS = (50, 95, 99)
"""Percentiles at which the colour of the histogram changes."""
TOP_MISTAKES = 3


class Cell(NamedTuple):
    """A figure with its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class HeatCell(NamedTuple):
    """One cell of a confusion matrix."""

    articles: int
    level: int
    """Shade, 0 to `HEAT_LEVELS`; grows with the root of the share of the row, so that rare mistakes are seen."""
    right: bool


class HeatRow(NamedTuple):
    """The articles of one gold label."""

    label: str
    cells: tuple[HeatCell, ...]
    support: int


class Mistake(NamedTuple):
    """Articles of one gold label that got one other."""

    gold: str
    predicted: str
    articles: int


class Confusion(NamedTuple):
    """A confusion matrix as a picture."""

    task: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    right: int
    total: int
    mistakes: tuple[Mistake, ...]
    """The most frequent ones."""


class Bar(NamedTuple):
    """One bar of a histogram, in parts of 100 of its width and height."""

    left: float
    width: float
    height: float
    band: int
    """0 below the median, then one more for each of `BANDS` that is passed."""


class Histogram(NamedTuple):
    """Latencies on a logarithmic scale."""

    bars: tuple[Bar, ...]
    low_ms: float
    high_ms: float


def cell(metrics: Mapping[str, float], name: str) -> Cell | None:
    """A figure of an evaluation by its name, None where it is missing."""
    if name not in metrics:
        return None
    return Cell(metrics[name], metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high"))


def confusion_picture(outcome: TaskOutcome) -> Confusion:
    """The confusion matrix of a task. Unknown is the last column where there is one."""
    counts = outcome.confusion
    columns = (*outcome.labels, UNKNOWN)
    if not counts[:, -1].any():
        counts, columns = counts[:, :-1], outcome.labels
    support = counts.sum(axis=1)
    levels = np.ceil(HEAT_LEVELS * np.sqrt(counts / np.maximum(support, 1)[:, None])).astype(int)
    rows = [
        HeatRow(
            label,
            tuple(
                HeatCell(int(count), int(level), place == index)
                for place, (count, level) in enumerate(zip(counts[index], levels[index], strict=True))
            ),
            int(support[index]),
        )
        for index, label in enumerate(outcome.labels)
    ]
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:TOP_MISTAKES]
    places = [np.unravel_index(place, wrong.shape) for place in order]
    mistakes = [Mistake(outcome.labels[row], columns[column], int(wrong[row, column])) for row, column in places]
    return Confusion(
        outcome.name,
        columns,
        tuple(rows),
        int(np.trace(counts)),
        int(counts.sum()),
        tuple(mistake for mistake in mistakes if mistake.articles),
    )


def latencies(predictions: Sequence[Prediction]) -> Floats:
    """Milliseconds of each article that was asked about."""
    known = (prediction.answer.latency_ms for prediction in predictions)
    return np.array([value for value in known if value is not None], dtype=float)


def histogram(sample: Floats) -> Histogram | None:
    """Latencies in ms, shape (n,), as bars of equal width on a logarithmic scale; None where all are the same."""
    if not len(sample) or sample.min() == sample.max():
        return None
    logs = np.log10(np.maximum(sample, SHORTEST_MS))
    counts, edges = np.histogram(logs, bins=BINS)
    marks = np.log10(np.maximum(np.percentile(sample, BANDS), SHORTEST_MS))
    bands = np.searchsorted(marks, (edges[:-1] + edges[1:]) / 2)
    width = 100 / BINS
    bars = [
        Bar(index * width, width, float(100 * count / counts.max()), int(band))
        for index, (count, band) in enumerate(zip(counts, bands, strict=True))
        if count
    ]
    return Histogram(tuple(bars), float(sample.min()), float(sample.max()))
