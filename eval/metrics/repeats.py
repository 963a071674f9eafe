"""How stable a candidate is when it answers the same articles again."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agent.errors import EvaluationError
from agent.labels import TASKS, Task
from eval.metrics.figure import Figure
from eval.outcomes import Prediction, story_numbers
from eval.statistics.intervals import share_interval


def repeat_figures(passes: Sequence[Sequence[Prediction]]) -> dict[str, Figure]:
    """Figures of each task that was answered, prefixed with its name.

    `TASK_agreement` is the mean share of articles with the same label over all pairs of passes, `TASK_unstable_rate`
    the share without the same label in all passes, `TASK_accuracy_min` and `_max` are of the worst and the best pass.
    Unknown is a label like another here, and an article that failed is Unknown.

    Args:
        passes: At least two, each over the same n >= 1 articles in the same order.

    Raises:
        EvaluationError: There are fewer, or they are of different articles.
    """
    if len(passes) < 2 or not passes[0]:
        articles = len(passes[0]) if passes else 0
        raise EvaluationError(
            f"No stability in {len(passes)!r} passes over {articles!r} articles: at least 2 passes over 1 article are "
            "needed. Give --repeats 2 or more."
        )
    rows = [prediction.row for prediction in passes[0]]
    for number, one in enumerate(passes[1:], 2):
        if [prediction.row for prediction in one] != rows:
            raise EvaluationError(
                f"Pass {number!r} is not over the articles of the first: all passes must be over the same articles in "
                "the same order. Evaluate them from one labelled set."
            )
    figures: dict[str, Figure] = {}
    for task in TASKS:
        if any(prediction.label(task) is not None for prediction in passes[0]):
            figures |= {f"{task}_{name}": figure for name, figure in _task_figures(task, passes).items()}
    return figures


def _task_figures(task: Task, passes: Sequence[Sequence[Prediction]]) -> Mapping[str, Figure]:
    labels = np.array([[str(prediction.label(task)) for prediction in one] for one in passes])
    unstable = (labels != labels[0]).any(axis=0)
    figures = {
        "agreement": Figure(_agreement(labels)),
        "unstable_rate": Figure(float(unstable.mean()), share_interval(unstable, story_numbers(passes[0]))),
    }
    gold = [prediction.row.gold.get(task) for prediction in passes[0]]
    if None not in gold:
        accuracies = (labels == np.array(gold)).mean(axis=1)
        figures |= {"accuracy_min": Figure(float(accuracies.min())), "accuracy_max": Figure(float(accuracies.max()))}
    return figures


def _agreement(labels: np.ndarray) -> float:
    """Mean share of equal labels over all pairs of passes; `labels` of shape (passes, n)."""
    passes, articles = labels.shape
    codes, names = pd.factorize(labels.ravel())
    counts = np.zeros((articles, len(names)))
    np.add.at(counts, (np.tile(np.arange(articles), passes), codes), 1)
    return float((counts * (counts - 1)).sum() / (articles * passes * (passes - 1)))
