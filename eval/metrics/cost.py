"""Tokens and money of all calls, failed and repeated ones included.

One answered call without a known price makes the total unknown, and then it is left out. A call whose usage is not
known, because it was never answered, is no part of the total; what such calls can cost at most is a figure of its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """Tokens, `calls`, `unanswered_calls`, `cost_usd`, `cost_usd_at_most`, and cost per 1,000 and million articles.

    `cost_usd_at_most` adds to `cost_usd` what the unanswered calls can cost.
    """
    calls = [call for prediction in predictions for call in prediction.answer.calls]
    answered = [call for call in calls if call.input_tokens is not None]
    bounds = [call.cost_usd_at_most for call in calls if call.input_tokens is None]
    totals = {
        "calls": len(calls),
        "unanswered_calls": len(bounds),
        "input_tokens": known_sum(call.input_tokens for call in answered),
        "cached_input_tokens": known_sum(call.cached_input_tokens or 0 for call in answered),
        "output_tokens": known_sum(call.output_tokens for call in answered),
        "cost_usd": known_sum(call.cost_usd for call in answered),
    }
    totals["cost_usd_at_most"] = known_sum([totals["cost_usd"], *bounds])
    figures = {name: Figure(total) for name, total in totals.items() if total is not None}
    if "cost_usd" in figures:
        each = figures["cost_usd"].value / len(predictions)
        figures |= {"cost_usd_per_1k": Figure(1000 * each), "cost_usd_per_million": Figure(1_000_000 * each)}
    return figures


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None when one of the values is unknown."""
    known = list(values)
    return None if None in known else math.fsum(value for value in known if value is not None)
