"""Tokens and money of all calls, failed and repeated ones included.

One answered call without a known price or usage makes the total unknown, and then it is left out. A call that was never
answered is no part of the total; what such calls can cost at most is a figure of its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction

ANSWERED = ("ok", "unreadable", "refused")
"""Outcomes of calls that the model answered, and that are billed."""


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """Tokens, `calls`, `unanswered_calls`, `cost_usd`, `cost_usd_at_most`, `cost_usd_per_1k`, `cost_usd_per_million`.

    `cost_usd_at_most` adds to `cost_usd` what the unanswered calls can cost. The last two are of answered articles.
    """
    calls = [call for prediction in predictions for call in prediction.answer.calls]
    answered = [call for call in calls if call.input_tokens is not None or call.outcome in ANSWERED]
    bounds = [call.cost_usd_at_most for call in calls if call.input_tokens is None and call.outcome not in ANSWERED]
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
    articles = sum(prediction.answer.error is None for prediction in predictions)
    if "cost_usd" in figures and articles:
        each = figures["cost_usd"].value / articles
        figures |= {"cost_usd_per_1k": Figure(1000 * each), "cost_usd_per_million": Figure(1_000_000 * each)}
    return figures


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None when one of the values is unknown."""
    known = list(values)
    return None if None in known else math.fsum(value for value in known if value is not None)
