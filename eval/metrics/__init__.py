"""Every figure of an evaluation, by name. A missing figure is missing from the mapping, never 0.

A new metric is one module here with a `measure` function, one line in one of the tables below and one test.
"""

from collections.abc import Callable, Mapping, Sequence

from eval.metrics import (
    accuracy,
    answers,
    brier,
    cost,
    ece,
    f1,
    latency,
    log_loss,
    pr_auc,
    precision,
    recall,
    roc_auc,
    support,
    tokens,
)
from eval.metrics.figure import Figure
from eval.metrics.judged import Judged
from eval.outcomes import Prediction, TaskOutcome

TASK_METRICS: Sequence[Callable[[Judged], Mapping[str, Figure]]] = (
    accuracy.measure,
    f1.measure,
    precision.measure,
    recall.measure,
    support.measure,
    roc_auc.measure,
    pr_auc.measure,
    log_loss.measure,
    brier.measure,
    ece.measure,
)
RUN_METRICS: Sequence[Callable[[Sequence[Prediction]], Mapping[str, Figure]]] = (
    answers.measure,
    latency.measure,
    tokens.measure,
    cost.measure,
)


def all_figures(outcomes: Sequence[TaskOutcome], predictions: Sequence[Prediction]) -> dict[str, Figure]:
    """All figures of a run, those of a task prefixed with its name.

    Args:
        outcomes: The judged tasks; none for a run that ended early.
        predictions: Shape (n,), n >= 1.
    """
    figures: dict[str, Figure] = {}
    for outcome in outcomes:
        judged = Judged(outcome)
        for measure in TASK_METRICS:
            figures |= {f"{outcome.name}_{name}": figure for name, figure in measure(judged).items()}
    for measure_run in RUN_METRICS:
        figures |= measure_run(predictions)
    return figures


def flatten(figures: Mapping[str, Figure]) -> dict[str, float]:
    """Figures as plain numbers, each interval as `NAME_ci_low` and `NAME_ci_high`."""
    flat: dict[str, float] = {}
    for name, figure in figures.items():
        flat[name] = figure.value
        if figure.interval:
            flat |= {f"{name}_ci_low": figure.interval.low, f"{name}_ci_high": figure.interval.high}
    return flat
