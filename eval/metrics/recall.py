"""Share of the articles of a label that are predicted to have it."""

from collections.abc import Mapping

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`macro_recall` and, but for both tasks together, `recall.LABEL`."""
    outcome, resampled = judged.outcome, judged.resampled_scores.recall
    return {"macro_recall": judged.average("macro_recall")} | {
        f"recall.{label}": judged.share(outcome.predicted == index, outcome.gold == index, resampled[:, index])
        for index, label in judged.labels_in_gold()
    }
