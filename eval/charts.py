"""Pictures of an evaluation, drawn without a display."""

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

from agent.labels import UNKNOWN
from eval.outcomes import TaskOutcome

DPI = 120


def draw_confusion(outcome: TaskOutcome, path: Path) -> None:
    """The confusion matrix as a heat map with counts, Unknown as the last column."""
    confusion = outcome.confusion
    size = len(outcome.labels)
    canvas = Canvas(figsize=(2.5 + 0.75 * size, 2 + 0.6 * size), layout="constrained")
    axes = canvas.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size + 1), [*outcome.labels, UNKNOWN], rotation=45, ha="right")
    axes.set_yticks(range(size), outcome.labels)
    axes.set(
        xlabel="predicted", ylabel="gold", title=f"{outcome.name}: {np.trace(confusion)} of {confusion.sum()} right"
    )
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    canvas.savefig(path, dpi=DPI)


def draw_curves(outcome: TaskOutcome, roc_path: Path, pr_path: Path) -> None:
    """ROC and precision-recall curves, one label against the rest. Does nothing without probabilities."""
    if outcome.probabilities is None:
        return
    roc, precision_recall = (Canvas(figsize=(7, 6), layout="constrained") for _ in range(2))
    roc_axes, pr_axes = roc.subplots(), precision_recall.subplots()
    for index, label in enumerate(outcome.labels):
        is_label = outcome.gold == index
        if is_label.any() and not is_label.all():
            RocCurveDisplay.from_predictions(is_label, outcome.probabilities[:, index], name=label, ax=roc_axes)
            PrecisionRecallDisplay.from_predictions(is_label, outcome.probabilities[:, index], name=label, ax=pr_axes)
    _finish(roc_axes, f"{outcome.name}: ROC, one label against the rest", "lower right")
    _finish(pr_axes, f"{outcome.name}: precision and recall, one label against the rest", "lower left")
    roc.savefig(roc_path, dpi=DPI)
    precision_recall.savefig(pr_path, dpi=DPI)


def _finish(axes: Axes, title: str, corner: Literal["lower left", "lower right"]) -> None:
    axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize="small", loc=corner)
