"""What a report says, in its order; the templates only write it down."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from agent.config import AgentConfig
from agent.labels import TASKS, UNKNOWN
from agent.redaction import redact_value
from eval.comparison import Comparison, Difference
from eval.evaluation import EvaluationRecord
from eval.intervals import wilson
from eval.outcomes import Prediction, TaskOutcome
from eval.render import ENOUGH_ROWS
from eval.report.figures import Cell, Confusion, Histogram, cell, confusion_picture, histogram, latencies
from eval.report.formats import money, number

MOST_DISAGREEMENTS = 25
MOST_REASONS = 10
TEXT_CHARS = 600
TITLE_CHARS = 200
TASK_NAMES = {"category": "category", "sentiment": "sentiment", "joint": "both"}
FRACTIONS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC AUC, macro",
    "ece": "calibration error",
}
LOSSES = {"log_loss": "log loss, nats", "brier": "Brier score, 0 to 2"}
COUNTS = {
    "calls": "calls",
    "unanswered_calls": "never answered",
    "input_tokens": "input tokens",
    "cached_input_tokens": "of them cached",
    "output_tokens": "output tokens",
}
COSTS = {"cost_usd": "cost", "cost_usd_per_1k": "per 1,000 articles", "cost_usd_per_million": "per million"}
QUANTILES = (0, 25, 50, 75, 95, 99, 100)


class NamedComparison(NamedTuple):
    """This candidate against another one."""

    baseline: str
    """Name of the other candidate, for people."""
    comparison: Comparison


class Report(NamedTuple):
    """What is reported."""

    record: EvaluationRecord
    outcomes: Sequence[TaskOutcome]
    predictions: Sequence[Prediction]
    """Shape (n,), in the order of the outcomes."""
    config: AgentConfig
    comparisons: Sequence[NamedComparison] = ()
    decision_lines: Sequence[str] = ()


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


class Compared(NamedTuple):
    """A comparison with its differences as figures."""

    baseline: str
    comparison: Comparison
    accuracy: Cell
    macro_f1: Cell


class FigureRow(NamedTuple):
    """One figure of each task."""

    name: str
    cells: tuple[Cell | None, ...]
    is_fraction: bool


class LabelRow(NamedTuple):
    """Scores of one label."""

    label: str
    support: int
    scores: tuple[Cell | None, ...]
    """Precision, recall and F1."""


class TaskLabels(NamedTuple):
    """Scores of the labels of one task."""

    task: str
    rows: tuple[LabelRow, ...]


class Group(NamedTuple):
    """Accuracy over a part of the articles."""

    name: str
    articles: int
    accuracies: tuple[Cell, ...]


class Reason(NamedTuple):
    """Why articles have no label."""

    kind: str
    text: str
    count: int


class Miss(NamedTuple):
    """One task where prediction and gold differ."""

    task: str
    gold: str
    predicted: str
    confidence: float | None
    """Probability of the predicted label."""
    gold_probability: float | None


class Disagreement(NamedTuple):
    """One article that got a wrong label."""

    id: str
    title: str
    text: str
    hard: bool
    misses: tuple[Miss, ...]
    unknown_reason: str | None


class Fact(NamedTuple):
    """A name and what stands behind it."""

    name: str
    value: str


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
    decision_lines: Sequence[str]
    accuracies: tuple[Accuracy, ...]
    comparisons: tuple[Compared, ...]
    figures: tuple[FigureRow, ...]
    confusions: tuple[Confusion, ...]
    labels: tuple[TaskLabels, ...]
    quantiles: tuple[Quantile, ...]
    latency: Histogram | None
    costs: tuple[Fact, ...]
    reasons: tuple[Reason, ...]
    groups: tuple[Group, ...]
    wrong: int
    """How many articles got a wrong label."""
    worst: tuple[Disagreement, ...]
    run: tuple[Fact, ...]
    prompt: tuple[Fact, ...]
    configuration: str
    text_chars: int = TEXT_CHARS
    title_chars: int = TITLE_CHARS
    task_names: dict[str, str] = TASK_NAMES


def contents(report: Report) -> Contents:
    """What a report says."""
    record, outcomes, predictions, config, comparisons, decision_lines = report
    tasks = [outcome for outcome in outcomes if outcome.name != "joint"]
    sample = latencies(predictions)
    wrong = (found for prediction in predictions if (found := disagreement(prediction, config)))
    return Contents(
        record=record,
        config=config,
        verdict=verdict(record, len(predictions)),
        tasks=tuple(outcome.name for outcome in outcomes),
        decision_lines=decision_lines,
        accuracies=tuple(
            Accuracy(found, outcome.name)
            for outcome in outcomes
            if (found := cell(record.metrics, f"{outcome.name}_accuracy"))
        ),
        comparisons=tuple(
            Compared(baseline, made, difference(made.accuracy), difference(made.macro_f1))
            for baseline, made in comparisons
        ),
        figures=tuple(figure_rows(record, outcomes)),
        confusions=tuple(confusion_picture(outcome) for outcome in tasks),
        labels=tuple(label_rows(record, outcome) for outcome in tasks),
        quantiles=tuple(Quantile(percent, float(np.percentile(sample, percent))) for percent in QUANTILES)
        if len(sample)
        else (),
        latency=histogram(sample),
        costs=tuple(cost_facts(record)),
        reasons=tuple(reasons(predictions)),
        groups=tuple(groups(outcomes, predictions)),
        wrong=sum(disagreement(prediction, config) is not None for prediction in predictions),
        worst=tuple(heapq.nlargest(MOST_DISAGREEMENTS, wrong, key=severity)),
        run=tuple(run_facts(record, config)),
        prompt=tuple(prompt_facts(config)),
        configuration=configuration(config),
    )


def verdict(record: EvaluationRecord, articles: int) -> Verdict:
    """What the evaluation is good for."""
    if record.partial is not None:
        return Verdict("partial", "Partial: it decides nothing", articles, record.partial)
    if articles < ENOUGH_ROWS:
        return Verdict("few", "Too few articles to decide", articles, f"A decision needs at least {ENOUGH_ROWS}.")
    return Verdict("whole", "Whole, with enough articles to decide", articles, None)


def difference(made: Difference) -> Cell:
    """A paired difference with its 95 % interval."""
    return Cell(made.difference, made.low, made.high)


def figure_rows(record: EvaluationRecord, outcomes: Sequence[TaskOutcome]) -> Iterable[FigureRow]:
    """Figures of quality that at least one task has."""
    for name, title in {**FRACTIONS, **LOSSES}.items():
        cells = tuple(cell(record.metrics, f"{outcome.name}_{name}") for outcome in outcomes)
        if any(cells):
            yield FigureRow(title, cells, name in FRACTIONS)


def label_rows(record: EvaluationRecord, outcome: TaskOutcome) -> TaskLabels:
    """Precision, recall and F1 of each label."""
    support = np.bincount(outcome.gold, minlength=len(outcome.labels))
    rows = [
        LabelRow(
            label,
            int(support[index]),
            tuple(cell(record.metrics, f"{outcome.name}_{name}.{label}") for name in ("precision", "recall", "f1")),
        )
        for index, label in enumerate(outcome.labels)
    ]
    return TaskLabels(outcome.name, tuple(rows))


def groups(outcomes: Sequence[TaskOutcome], predictions: Sequence[Prediction]) -> Iterable[Group]:
    """Accuracy over hard articles and over the others; nothing where all are of one kind."""
    hard = np.array([prediction.row.hard for prediction in predictions])
    if hard.all() or not hard.any():
        return
    for name, members in (("hard", hard), ("others", ~hard)):
        accuracies = []
        for outcome in outcomes:
            right, total = int((outcome.gold == outcome.predicted)[members].sum()), int(members.sum())
            ends = wilson(right, total)
            accuracies.append(Cell(right / total, *(ends or ())))
        yield Group(name, int(members.sum()), tuple(accuracies))


def reasons(predictions: Sequence[Prediction]) -> Iterable[Reason]:
    """Why articles failed or are Unknown, the most frequent reasons first."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, answer in predictions:
        if answer.error:
            counts[answer.error.type.replace("_", " "), answer.error.message] += 1
        elif answer.unknown_reason or UNKNOWN in (answer.category, answer.sentiment):
            counts[UNKNOWN, answer.unknown_reason or "no reason was given"] += 1
    for (kind, text), count in counts.most_common(MOST_REASONS):
        yield Reason(kind, text, count)
    if rest := counts.total() - sum(count for _, count in counts.most_common(MOST_REASONS)):
        yield Reason("others", "less frequent reasons", rest)


def disagreement(prediction: Prediction, config: AgentConfig) -> Disagreement | None:
    """Where an answered article differs from gold; None where it does not."""
    row, answer = prediction
    if answer.error:
        return None
    misses = []
    for task in TASKS:
        gold, predicted = row.gold.get(task), prediction.label(task)
        if gold is not None and predicted is not None and gold != predicted:
            labels = config.labels.by_task[task]
            known = dict(zip(labels, prediction.probabilities(task) or (), strict=False))
            misses.append(Miss(str(task), gold, predicted, known.get(predicted), known.get(gold)))
    if not misses:
        return None
    return Disagreement(row.id, row.article.title, row.article.content, row.hard, tuple(misses), answer.unknown_reason)


def severity(found: Disagreement) -> tuple[float, int, int]:
    """Most confident first; without probabilities those wrong in both, and a wrong label before Unknown."""
    confidence = max((miss.confidence for miss in found.misses if miss.confidence is not None), default=0.0)
    unknown = sum(miss.predicted == UNKNOWN for miss in found.misses)
    return confidence, len(found.misses), -unknown


def cost_facts(record: EvaluationRecord) -> Iterable[Fact]:
    """Calls, tokens and money."""
    metrics = record.metrics
    for name, title in COUNTS.items():
        if metrics.get(name):
            yield Fact(title, number(metrics[name]))
    for name, title in COSTS.items():
        yield Fact(title, money(metrics.get(name)))
    if metrics.get("unanswered_calls"):
        yield Fact("cost at most, with unanswered calls", money(metrics.get("cost_usd_at_most")))


def run_facts(record: EvaluationRecord, config: AgentConfig) -> Iterable[Fact]:
    """What was run, on what, when."""
    candidate, dataset = record.candidate, record.dataset
    facts = {
        "candidate": record.agent,
        "model": f"{candidate.provider}:{candidate.model}",
        "track": candidate.track,
        "note": config.note,
        "dataset": dataset.path,
        "rows": f"{dataset.rows:,}",
        "dataset digest": dataset.digest,
        "started": f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "commit": record.git_commit,
        "run": f"{record.run_name} ({record.run_id})",
        "model URI": record.model_uri,
        "asked": None if record.repeats == 1 else f"{record.repeats} times; figures are of the first",
        "calls": f"{record.fresh_calls:,} fresh, {record.cached_calls:,} from the journal",
        "prompt": candidate.prompt_hash and f"{config.prompt.name if config.prompt else ''} {candidate.prompt_hash}",
        "prompt version": candidate.prompt_version,
        "model hash": candidate.model_hash,
        "configuration hash": candidate.config_hash,
        "code hash": candidate.code_hash,
    }
    return (Fact(name, value) for name, value in facts.items() if value)


def prompt_facts(config: AgentConfig) -> Iterable[Fact]:
    """The texts of the prompt, as the model reads them; nothing for a local model."""
    if config.prompt:
        yield Fact("Instructions", config.prompt.instructions(config.labels, config.answer_format))
        yield Fact("Article", config.prompt.user.strip())
        yield Fact("After an answer that could not be read", config.prompt.again.strip())


def configuration(config: AgentConfig) -> str:
    """The candidate as YAML, without its prompt and without secrets."""
    settings = config.to_model_config()
    settings.pop("prompt")
    if config.artifact:
        settings["artifact"] = Path(config.artifact).name
    return yaml.safe_dump(redact_value(settings), sort_keys=False, allow_unicode=True, width=96)
