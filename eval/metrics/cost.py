"""Tokens and money of all calls, failed and repeated ones included.

One answered call without a known price or usage makes the total unknown, and then it is left out. A call that was never
answered is no part of the total; what such calls can cost at most is a figure of its own.
"""

from collections.abc import Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction, known_sum


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """Tokens, `calls`, `unanswered_calls`, `cost_usd`, `cost_usd_at_most`, `cost_usd_per_1k`, `cost_usd_per_million`.

    `cost_usd_at_most` adds to `cost_usd` what the unanswered calls can cost. The last two are of answered articles.
    """
    bills = [prediction.answer.bill for prediction in predictions]
    totals = {
        "calls": sum(bill.calls for bill in bills),
        "unanswered_calls": sum(bill.unanswered for bill in bills),
        "input_tokens": known_sum(bill.input_tokens for bill in bills),
        "cached_input_tokens": known_sum(bill.cached_input_tokens for bill in bills),
        "output_tokens": known_sum(bill.output_tokens for bill in bills),
        "cost_usd": known_sum(bill.cost_usd for bill in bills),
    }
    totals["cost_usd_at_most"] = known_sum([totals["cost_usd"], *(bill.unanswered_usd_at_most for bill in bills)])
    figures = {name: Figure(total) for name, total in totals.items() if total is not None}
    articles = sum(prediction.answer.error is None for prediction in predictions)
    if "cost_usd" in figures and articles:
        each = figures["cost_usd"].value / articles
        figures |= {"cost_usd_per_1k": Figure(1000 * each), "cost_usd_per_million": Figure(1_000_000 * each)}
    return figures
