"""`config/decision.yaml`: what the company needs, and the rules that turn measured figures into a decision."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

DECISION_FILE = Path("config/decision.yaml")

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
RuleName = Literal["inside_only", "cheaper_inside", "most_accurate", "lowest_p95"]
CONSTRAINTS: tuple[RuleName, ...] = ("inside_only",)


class Rule(BaseModel):
    """One rule of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: RuleName
    """Which one; see `eval.decision.rules.RULES`."""
    when: Literal["governance_required", "accuracy_critical", "latency_critical"] | None = None
    """The setting that must be true for it to be asked; without one it always is."""


class DecisionConfig(BaseModel):
    """What is needed in production, and the rules in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_per_day: int = Field(default=1_000_000, ge=1, strict=True)
    """Articles to classify."""
    budget_usd_per_day: Number = Field(ge=0)
    """What all calls of a day may cost."""
    governance_required: Flag
    """Whether articles must stay inside Databricks and on machines of our own."""
    accuracy_critical: Flag
    """Whether accuracy is paid for as far as the budget goes."""
    latency_critical: Flag
    """Whether somebody waits for the answer."""
    latency_p95_ms: Number | None = Field(default=None, gt=0)
    """The slowest p95 that is fast enough where latency is critical; None where the fastest is simply wanted."""
    task: Literal["category", "sentiment", "joint"] = "category"
    """Whose accuracy decides; `joint` is both right at once."""
    accuracy_margin: Number = Field(default=0.05, gt=0, lt=1)
    """Accuracy, as a fraction, that a cheaper inside candidate may lack."""
    cost_saving: Number = Field(default=0.5, ge=0, lt=1)
    """Share of the external cost that it must save; exactly this much is not enough."""
    minimum_articles: int = Field(default=200, ge=1, strict=True)
    """Labelled articles below which nothing is decided."""
    rules: tuple[Rule, ...] = Field(min_length=1)
    """Asked in this order, constraints before preferences."""

    @field_validator("rules")
    @classmethod
    def _constraints_come_first(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        names = [rule.rule for rule in rules]
        if len(set(names)) < len(names):
            raise ValueError("a rule stands there twice; keep one")
        preferences = [name not in CONSTRAINTS for name in names]
        if preferences != sorted(preferences):
            raise ValueError(f"a constraint ({', '.join(CONSTRAINTS)}) must stand before every preference")
        return rules
