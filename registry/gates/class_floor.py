"""Gate: a figure must reach a value for every label, so that a good average hides no label that is missed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from registry.gates.figures import Number, Rows, look, reaches
from registry.gates.verdict import Case, Verdict


class ClassFloorRule(BaseModel):
    """A figure per label that must reach a value for each of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal[
        "category_f1",
        "category_precision",
        "category_recall",
        "sentiment_f1",
        "sentiment_precision",
        "sentiment_recall",
    ]
    """Name of the figure, as the evaluation reports it, without its label."""
    at_least: Number
    """The value that it must reach for each label; reaching it exactly counts."""
    labels: tuple[str, ...] = ()
    """The labels that are looked at; all that the articles have where none is named."""
    basis: Literal["point", "ci_low"] = "point"
    """Whether the figure itself or the lower end of its 95 % interval must reach it."""
    min_rows: Rows = 0
    """Articles that each label must have."""


def class_floor(rule: ClassFloorRule, case: Case) -> Verdict:
    """Whether a figure reaches its floor for every label on enough articles; the reason names each label that fails."""
    support = f"{rule.metric.partition('_')[0]}_support."
    labels = rule.labels or tuple(name.removeprefix(support) for name in case.metrics if name.startswith(support))
    ending = "" if rule.basis == "point" else f"_{rule.basis}"
    numbers, faults = {"at_least": rule.at_least}, []
    for label in labels:
        name = f"{rule.metric}.{label}{ending}"
        seen = look(case.metrics, name, rule.min_rows, f"{support}{label}")
        numbers |= seen.numbers
        if seen.problem:
            faults.append(seen.problem)
        elif not reaches(numbers[name], rule.at_least):
            faults.append(f"{name} {numbers[name]:.4f} < {rule.at_least:.4f}")
    if not labels:
        faults.append(f"{rule.metric} is missing for every label")
    reason = "; ".join(faults) or f"{rule.metric} >= {rule.at_least:.4f} for each of {len(labels)} labels"
    return Verdict(gate="class_floor", passed=not faults, reason=reason, numbers=numbers)
