"""Articles whose labels differ from gold, and why articles have no label."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.config import AgentConfig
from agent.labels import TASKS, UNKNOWN
from eval.outcomes import Prediction

MOST_DISAGREEMENTS = 25
MOST_REASONS = 10


class Reason(NamedTuple):
    """Why articles have no label."""

    kind: str
    text: str
    articles: int


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

    prediction: Prediction
    misses: tuple[Miss, ...]


class Disagreements(NamedTuple):
    """Articles with a wrong label."""

    total: int
    worst: tuple[Disagreement, ...]
    by_confidence: bool
    """Whether the most confident come first."""


def disagreements(predictions: Sequence[Prediction], config: AgentConfig) -> Disagreements:
    """How many answered articles have a wrong label, and the worst of them."""
    total = sum(bool(misses(prediction, config)) for prediction in predictions)
    wrong = (prediction for prediction in predictions if misses(prediction, config))
    first = heapq.nlargest(MOST_DISAGREEMENTS, wrong, key=lambda prediction: severity(misses(prediction, config)))
    worst = tuple(Disagreement(prediction, misses(prediction, config)) for prediction in first)
    confident = any(miss.confidence is not None for found in worst for miss in found.misses)
    return Disagreements(total, worst, confident)


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


def misses(prediction: Prediction, config: AgentConfig) -> tuple[Miss, ...]:
    """The tasks in which an answered article differs from gold; none for one that failed."""
    row, answer = prediction
    found = []
    for task in TASKS if answer.error is None else ():
        gold, predicted = row.gold.get(task), prediction.label(task)
        if gold is not None and predicted is not None and gold != predicted:
            labels, probabilities = config.labels.by_task[task], prediction.probabilities(task)
            known = dict(zip(labels, probabilities, strict=True)) if probabilities else {}
            found.append(Miss(str(task), gold, predicted, known.get(predicted), known.get(gold)))
    return tuple(found)


def severity(found: Sequence[Miss]) -> tuple[float, int, int]:
    """Most confident first; without probabilities those wrong in both, and a wrong label before Unknown."""
    confidence = max((miss.confidence for miss in found if miss.confidence is not None), default=0.0)
    unknown = sum(miss.predicted == UNKNOWN for miss in found)
    return confidence, len(found), -unknown
