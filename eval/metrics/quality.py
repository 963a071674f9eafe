"""Accuracy, precision, recall and F1, over all articles and for each label.

Macro and weighted averages run over the configured labels that gold contains. Unknown is a miss of the gold label and
no label of its own. A label that is never predicted has precision 0.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from eval.bootstrap import resampled_confusions
from eval.intervals import percentile_interval, wilson
from eval.metrics.figure import Figure
from eval.outcomes import TaskOutcome
from eval.scores import LabelScores, averages, label_scores


def measure(outcome: TaskOutcome) -> Mapping[str, Figure]:
    """`accuracy`, `macro_f1` and so on; but for both together also `f1.LABEL`, `precision.LABEL`, `recall.LABEL`."""
    confusion = outcome.confusion
    resampled = label_scores(resampled_confusions(outcome))
    scores = label_scores(confusion)
    right, total = int(np.trace(confusion)), int(confusion.sum())
    figures = {"accuracy": Figure(right / total, wilson(right, total))}
    spread = averages(resampled)
    figures |= {
        name: Figure(float(value), percentile_interval(spread[name])) for name, value in averages(scores).items()
    }
    if outcome.name != "joint":
        for index, label in enumerate(outcome.labels):
            if scores.support[index]:
                figures |= _label_figures(label, index, confusion, scores, resampled)
    return figures


def _label_figures(
    label: str, index: int, confusion: npt.NDArray[np.int64], scores: LabelScores, resampled: LabelScores
) -> dict[str, Figure]:
    hits = int(confusion[index, index])
    return {
        f"f1.{label}": Figure(float(scores.f1[index]), percentile_interval(resampled.f1[:, index])),
        f"precision.{label}": Figure(float(scores.precision[index]), wilson(hits, int(confusion[:, index].sum()))),
        f"recall.{label}": Figure(float(scores.recall[index]), wilson(hits, int(scores.support[index]))),
        f"support.{label}": Figure(float(scores.support[index])),
    }
