"""Every figure of an evaluation, by name. A missing figure is missing from the mapping, never 0.

A new metric is one module here with a `measure(outcome)` function, one line in the table below and one test.
"""

from collections.abc import Callable, Mapping, Sequence

from eval.metrics import answers, cost, latency, probability, quality
from eval.metrics.figure import Figure
from eval.outcomes import Prediction, TaskOutcome

TASK_METRICS: Sequence[Callable[[TaskOutcome], Mapping[str, Figure]]] = (quality.measure, probability.measure)
RUN_METRICS: Sequence[Callable[[Sequence[Prediction]], Mapping[str, Figure]]] = (
    answers.measure,
    latency.measure,
    cost.measure,
)


def all_figures(outcomes: Sequence[TaskOutcome], predictions: Sequence[Prediction]) -> dict[str, Figure]:
    """All figures of a run, those of a task prefixed with its name."""
    figures: dict[str, Figure] = {}
    for outcome in outcomes:
        for measure in TASK_METRICS:
            figures |= {f"{outcome.name}_{name}": figure for name, figure in measure(outcome).items()}
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
