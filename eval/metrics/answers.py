"""How many articles were answered, and how many not."""

from collections.abc import Mapping, Sequence

from agent.labels import UNKNOWN
from eval.intervals import wilson
from eval.metrics.figure import Figure
from eval.outcomes import Prediction


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`articles`, `answered`, `failed` (those with an error), `unknown_rate`, `error_rate`."""
    total = len(predictions)
    failed = sum(prediction.answer.error is not None for prediction in predictions)
    unknown = sum(UNKNOWN in (prediction.answer.category, prediction.answer.sentiment) for prediction in predictions)
    return {
        "articles": Figure(total),
        "answered": Figure(total - failed),
        "failed": Figure(failed),
        "unknown_rate": Figure(unknown / total, wilson(unknown, total)),
        "error_rate": Figure(failed / total, wilson(failed, total)),
    }
