"""How many articles were answered, and how many not."""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.labels import UNKNOWN
from eval.metrics.figure import Figure
from eval.outcomes import Prediction, story_numbers
from eval.statistics.intervals import share_interval


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`articles`, `answered`, `failed` (those with an error), `unknown_rate`, `error_rate`."""
    failed = np.array([answer.error is not None for _, answer in predictions])
    unknown = np.array([UNKNOWN in (answer.category, answer.sentiment) for _, answer in predictions])
    stories = story_numbers(predictions)
    return {
        "articles": Figure(len(failed)),
        "answered": Figure(len(failed) - int(failed.sum())),
        "failed": Figure(int(failed.sum())),
        "unknown_rate": Figure(float(unknown.mean()), share_interval(unknown, stories)),
        "error_rate": Figure(float(failed.mean()), share_interval(failed, stories)),
    }
