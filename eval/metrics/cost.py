"""Money of all calls, failed and repeated ones included.

One answered call without a known price makes the total unknown, and then it is left out. A call that was never answered
is no part of the total; what such calls can cost at most is a figure of its own.
"""

from collections.abc import Mapping, Sequence

from eval.metrics.figure import Figure
from eval.outcomes import Prediction, known_sum


def measure(predictions: Sequence[Prediction]) -> Mapping[str, Figure]:
    """`cost_usd`, `cost_usd_at_most`, `cost_usd_per_1k`, `cost_usd_per_million`.

    `cost_usd_at_most` adds to `cost_usd` what the unanswered calls can cost. The last two are of answered articles.
    """
    bills = [prediction.answer.bill for prediction in predictions]
    cost_usd = known_sum(bill.cost_usd for bill in bills)
    if cost_usd is None:
        return {}
    figures = {"cost_usd": Figure(cost_usd)}
    at_most = known_sum([cost_usd, *(bill.unanswered_usd_at_most for bill in bills)])
    if at_most is not None:
        figures["cost_usd_at_most"] = Figure(at_most)
    articles = sum(prediction.answer.error is None for prediction in predictions)
    if articles:
        each = cost_usd / articles
        figures |= {"cost_usd_per_1k": Figure(1000 * each), "cost_usd_per_million": Figure(1_000_000 * each)}
    return figures
