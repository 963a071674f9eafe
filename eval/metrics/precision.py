"""Share of the articles predicted to have a label that have it; 0 for a label that is never predicted."""

from collections.abc import Mapping

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`macro_precision` and, but for both tasks together, `precision.LABEL`."""
    outcome, resampled = judged.outcome, judged.resampled_scores.precision
    return {"macro_precision": judged.average("macro_precision")} | {
        f"precision.{label}": judged.share(outcome.gold == index, outcome.predicted == index, resampled[:, index])
        for index, label in judged.labels_in_gold()
    }
