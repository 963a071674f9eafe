"""Calls and their tokens, failed and repeated calls included.

One answered call without known usage makes a total unknown, and then it is left out.
"""

from collections.abc import Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction, known_sum


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`calls`, `unanswered_calls`, `input_tokens`, `cached_input_tokens`, `output_tokens`."""
    bills = [prediction.answer.bill for prediction in predictions]
    totals = {
        "calls": sum(bill.calls for bill in bills),
        "unanswered_calls": sum(bill.unanswered for bill in bills),
        "input_tokens": known_sum(bill.input_tokens for bill in bills),
        "cached_input_tokens": known_sum(bill.cached_input_tokens for bill in bills),
        "output_tokens": known_sum(bill.output_tokens for bill in bills),
    }
    return {name: Figure(total) for name, total in totals.items() if total is not None}
