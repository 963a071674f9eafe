"""Gate: whether the provider retires the model soon. It warns, and refuses only where it is told to."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from eval.lifecycle import LIFECYCLE_FILE, NEAR_DAYS
from registry.gates.verdict import Case, Verdict


class EndOfLifeRule(BaseModel):
    """What is done with a model whose end is announced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within_days: Annotated[int, Field(strict=True, ge=0)] = NEAR_DAYS
    """A model that retires within so many days, or has retired, is near its end."""
    refuse: Annotated[bool, Field(strict=True)] = False
    """Whether such a model is refused instead of warned about."""


def end_of_life(rule: EndOfLifeRule, case: Case) -> Verdict:
    """Whether the model is still there for a while. Without a list of announced ends nobody knows."""
    model, numbers = f"{case.provider}:{case.model}", {"within_days": float(rule.within_days)}
    if case.lifecycle is None:
        return _near(rule, f"whether {model} retires is not known: there is no {LIFECYCLE_FILE}", numbers)
    retirement = case.lifecycle.of(case.provider, case.model)
    if retirement is None:
        return Verdict(gate="end_of_life", passed=True, reason=f"no end of {model} is announced", numbers=numbers)
    reason = f"{model} retires on {retirement.retires}. {retirement.advice}"  # no days left: evidence must not age
    if retirement.days_left(case.today) > rule.within_days:
        return Verdict(gate="end_of_life", passed=True, reason=reason, numbers=numbers)
    return _near(rule, reason, numbers)


def _near(rule: EndOfLifeRule, reason: str, numbers: dict[str, float]) -> Verdict:
    return Verdict(gate="end_of_life", passed=not rule.refuse, reason=reason, numbers=numbers, warning=not rule.refuse)
