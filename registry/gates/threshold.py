"""Gate: a figure of quality must reach a value."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from registry.gates.figures import Number, Rows, look, reaches
from registry.gates.verdict import Case, Verdict

Quality = Literal[
    "category_accuracy",
    "category_macro_f1",
    "category_macro_precision",
    "category_macro_recall",
    "category_weighted_f1",
    "category_roc_auc",
    "category_pr_auc",
    "category_agreement",
    "sentiment_accuracy",
    "sentiment_macro_f1",
    "sentiment_macro_precision",
    "sentiment_macro_recall",
    "sentiment_weighted_f1",
    "sentiment_roc_auc",
    "sentiment_pr_auc",
    "sentiment_agreement",
    "joint_accuracy",
    "joint_macro_f1",
    "joint_macro_precision",
    "joint_macro_recall",
    "joint_weighted_f1",
]
"""Figures of which more is better, so that a misspelled one is said when the file is read."""


class ThresholdRule(BaseModel):
    """A figure of quality that must reach a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Quality
    """Name of the figure, as the evaluation reports it."""
    at_least: Number
    """The value that it must reach; reaching it exactly counts."""
    basis: Literal["point", "ci_low"] = "point"
    """Whether the figure itself or the lower end of its 95 % interval must reach it."""
    min_rows: Rows = 0
    """Articles that the evaluation must have."""


def threshold(rule: ThresholdRule, case: Case) -> Verdict:
    """Whether a figure reaches its threshold on enough articles."""
    name = rule.metric if rule.basis == "point" else f"{rule.metric}_{rule.basis}"
    seen = look(case.metrics, name, rule.min_rows)
    numbers = seen.numbers | {"at_least": rule.at_least}
    if seen.problem:
        return Verdict(gate="threshold", passed=False, reason=seen.problem, numbers=numbers)
    passed = reaches(numbers[name], rule.at_least)
    reason = f"{name} {numbers[name]:.4f} {'>=' if passed else '<'} {rule.at_least:.4f}"
    return Verdict(gate="threshold", passed=passed, reason=reason, numbers=numbers)
