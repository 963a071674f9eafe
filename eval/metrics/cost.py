"""Tokens and money of all calls. One call without a known price makes the total unknown, and then it is left out."""

from collections.abc import Iterable, Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`input_tokens`, `output_tokens`, `cost_usd`, `cost_usd_per_1k` (articles), `cost_usd_per_million`."""
    calls = [call for prediction in predictions for call in prediction.answer.calls]
    totals = {
        "input_tokens": known_sum(call.input_tokens for call in calls),
        "output_tokens": known_sum(call.output_tokens for call in calls),
        "cost_usd": known_sum(call.cost_usd for call in calls),
    }
    figures = {name: Figure(total) for name, total in totals.items() if total is not None}
    if "cost_usd" in figures:
        each = figures["cost_usd"].value / len(predictions)
        figures |= {"cost_usd_per_1k": Figure(1000 * each), "cost_usd_per_million": Figure(1_000_000 * each)}
    return figures


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None when one of the values is unknown."""
    known = list(values)
    return None if None in known else float(sum(value for value in known if value is not None))
