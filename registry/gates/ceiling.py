"""What the gates have in common that a figure must not exceed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from registry.gates.figures import Number, Rows, look, reaches
from registry.gates.verdict import Case, Verdict


class CeilingRule(BaseModel):
    """A value that a figure must not exceed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_most: Number = Field(ge=0)
    """The largest value, in the figure's own unit; exactly this much passes."""
    basis: Literal["point", "ci_high"] = "point"
    """Whether the figure itself or the upper end of its 95 % interval must stay below it."""
    min_rows: Rows = 0
    """Articles that it must have been measured on."""


def ceiling(gate: str, metric: str, rule: CeilingRule, case: Case, rows: str = "articles") -> Verdict:
    """Whether a figure stays below its ceiling on enough articles, whose number is the figure `rows`."""
    name = metric if rule.basis == "point" else f"{metric}_{rule.basis}"
    seen = look(case.metrics, name, rule.min_rows, rows)
    numbers = seen.numbers | {"at_most": rule.at_most}
    if seen.problem:
        return Verdict(gate=gate, passed=False, reason=seen.problem, numbers=numbers)
    passed = reaches(rule.at_most, numbers[name])
    reason = f"{name} {numbers[name]:.6g} {'<=' if passed else '>'} {rule.at_most:.6g}"
    return Verdict(gate=gate, passed=passed, reason=reason, numbers=numbers)
