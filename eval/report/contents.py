"""What a report says, in its order; the templates only write it down."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from agent.config import AgentConfig
from eval.evaluation import EvaluationRecord
from eval.outcomes import Floats, Prediction, TaskOutcome
from eval.render import ENOUGH_ROWS
from eval.report.disagreements import Disagreements, Reason, disagreements, reasons
from eval.report.figures import Cell, Confusion, Histogram, cell, confusion_picture, histogram, latencies
from eval.report.provenance import Fact, configuration, cost_facts, prompt_facts, run_facts
from eval.report.quality import FigureRow, Group, TaskLabels, figure_rows, groups, label_rows

TEXT_CHARS = 600
LINE_CHARS = 200
TASK_NAMES = {"category": "category", "sentiment": "sentiment", "joint": "both"}
RATES = {"error_rate": "Failed", "unknown_rate": "Unknown, failed ones included"}
QUANTILES = (0, 25, 50, 75, 95, 99, 100)


class Report(NamedTuple):
    """What is reported."""

    record: EvaluationRecord
    outcomes: Sequence[TaskOutcome]
    predictions: Sequence[Prediction]
    """Shape (n,), in the order of the outcomes."""
    config: AgentConfig


class Verdict(NamedTuple):
    """What the evaluation is good for."""

    state: str
    """`whole`, `few` or `partial`."""
    headline: str
    articles: int
    why: str | None


class Accuracy(NamedTuple):
    """The accuracy of one task."""

    cell: Cell
    task: str


class Rate(NamedTuple):
    """A share of all articles."""

    name: str
    cell: Cell


class Quantile(NamedTuple):
    """How long the fastest `percent` of the articles took at most."""

    percent: int
    value_ms: float


class Contents(NamedTuple):
    """Everything a report says. Empty and None mean that its part is left out."""

    record: EvaluationRecord
    config: AgentConfig
    verdict: Verdict
    tasks: tuple[str, ...]
    accuracies: tuple[Accuracy, ...]
    figures: tuple[FigureRow, ...]
    confusions: tuple[Confusion, ...]
    labels: tuple[TaskLabels, ...]
    quantiles: tuple[Quantile, ...]
    latency: Histogram | None
    costs: tuple[Fact, ...]
    reasons: tuple[Reason, ...]
    rates: tuple[Rate, ...]
    groups: tuple[Group, ...]
    disagreements: Disagreements
    run: tuple[Fact, ...]
    prompt: tuple[Fact, ...]
    configuration: str
    text_chars: int = TEXT_CHARS
    line_chars: int = LINE_CHARS
    task_names: dict[str, str] = TASK_NAMES


def contents(report: Report) -> Contents:
    """What a report says."""
    record, outcomes, predictions, config = report
    tasks = [outcome for outcome in outcomes if outcome.name != "joint"]
    sample = latencies(predictions)
    return Contents(
        record=record,
        config=config,
        verdict=verdict(record, len(predictions)),
        tasks=tuple(outcome.name for outcome in outcomes),
        accuracies=tuple(
            Accuracy(found, outcome.name)
            for outcome in outcomes
            if (found := cell(record.metrics, f"{outcome.name}_accuracy"))
        ),
        figures=tuple(figure_rows(record, outcomes)),
        confusions=tuple(confusion_picture(outcome) for outcome in tasks),
        labels=tuple(label_rows(record, outcome) for outcome in tasks),
        quantiles=tuple(quantiles(sample)),
        latency=histogram(sample),
        costs=tuple(cost_facts(record)),
        reasons=tuple(reasons(predictions)),
        rates=tuple(Rate(title, found) for name, title in RATES.items() if (found := cell(record.metrics, name))),
        groups=tuple(groups(outcomes, predictions)),
        disagreements=disagreements(predictions, config),
        run=tuple(run_facts(record, config)),
        prompt=tuple(prompt_facts(config)),
        configuration=configuration(config),
    )


def verdict(record: EvaluationRecord, articles: int) -> Verdict:
    """What the evaluation is good for."""
    if record.partial is not None:
        return Verdict("partial", "Partial evaluation: it decides nothing", articles, record.partial)
    if articles < ENOUGH_ROWS:
        return Verdict("few", "Too few articles to decide", articles, f"A decision needs at least {ENOUGH_ROWS}.")
    return Verdict("whole", "Whole evaluation, enough articles to decide", articles, None)


def quantiles(sample: Floats) -> Iterable[Quantile]:
    """Quantiles of latencies in ms, shape (n,); none of an empty sample."""
    if len(sample):
        for percent, value in zip(QUANTILES, np.percentile(sample, QUANTILES), strict=True):
            yield Quantile(percent, float(value))
