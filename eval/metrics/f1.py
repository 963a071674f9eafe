"""Harmonic mean of precision and recall."""

from collections.abc import Mapping

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged
from eval.statistics.intervals import percentile_interval


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`macro_f1`, `weighted_f1` and, but for both tasks together, `f1.LABEL`."""
    figures = {name: judged.average(name) for name in ("macro_f1", "weighted_f1")}
    for index, label in judged.labels_in_gold():
        interval = percentile_interval(judged.resampled_scores.f1[:, index])
        figures[f"f1.{label}"] = Figure(float(judged.scores.f1[index]), interval)
    return figures
