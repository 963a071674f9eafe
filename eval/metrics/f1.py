"""Harmonic mean of precision and recall."""

from collections.abc import Mapping

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`macro_f1`, `weighted_f1` and, but for both tasks together, `f1.LABEL`."""
    figures = {name: judged.average(name) for name in ("macro_f1", "weighted_f1")}
    for index, label in judged.labels_in_gold():
        concerned = (judged.outcome.predicted == index) | (judged.outcome.gold == index)
        size = judged.size * float(concerned.mean())
        figures[f"f1.{label}"] = judged.like_a_share(
            float(judged.scores.f1[index]), size, judged.resampled_scores.f1[:, index]
        )
    return figures
