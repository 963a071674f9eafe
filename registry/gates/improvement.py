"""What makes a version a challenger: more accurate than the champion or, where switched on, much cheaper or faster.

Both are of the same rows; who builds the case sees to that.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from registry.gates.figures import DECIMALS, Number, Rows, known, reaches, too_few
from registry.gates.saving import SavingRule, saves
from registry.gates.verdict import Case, Verdict

NEEDED = ("category_accuracy", "sentiment_accuracy")


class ImprovementRule(BaseModel):
    """How much better than the champion a challenger must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    improvement: Number = Field(default=0.02, ge=0)
    """Category accuracy above the champion's, a fraction; exactly this much counts."""
    basis: Literal["point", "ci_low"] = "point"
    """Whether the difference itself or the lower end of its paired 95 % interval must reach it."""
    min_rows: Rows = 0
    """Articles that both must have been measured on."""
    sentiment_may_drop: Number = Field(default=0.0, ge=0)
    """Sentiment accuracy that may be lost, a fraction."""
    saving: SavingRule | None = None
    """The other path, of a candidate that is not worse but much cheaper or faster; None where it is closed."""


def improves(rule: ImprovementRule, case: Case) -> Verdict:
    """Whether a version may challenge the champion; the verdict's gate is the path, `improvement` or `saving`."""
    comparable = _comparable(rule, case)
    if not comparable.passed:
        return comparable
    gained = _gains(rule, case, comparable.numbers)
    if gained.passed or rule.saving is None:
        return gained
    saved = saves(rule.saving, case)
    numbers = gained.numbers | saved.numbers
    reason = saved.reason if saved.passed else f"{gained.reason}; {saved.reason}"
    return (saved if saved.passed else gained).model_copy(update={"reason": reason, "numbers": numbers})


def _comparable(rule: ImprovementRule, case: Case) -> Verdict:
    """What both paths need: figures of both, on enough articles, and no loss of sentiment accuracy."""
    champion = known(case.champion or {}, *NEEDED)
    numbers = known(case.metrics, *NEEDED, "articles") | {f"champion_{name}": champion[name] for name in champion}
    missing = [name for name in NEEDED if name not in numbers or name not in champion]
    problem = None
    if case.champion is None:
        problem = "there is no champion to compare with"
    elif missing:
        problem = f"cannot be compared with the champion: {', '.join(missing)} is missing"
    elif few := too_few("the improvement", numbers.get("articles"), rule.min_rows):
        problem = few
    else:
        for name in NEEDED:
            numbers[f"{name}_difference"] = round(numbers[name] - champion[name], DECIMALS)
        sentiment = numbers["sentiment_accuracy_difference"]
        if not reaches(sentiment, -rule.sentiment_may_drop):
            problem = f"sentiment accuracy is {-100 * sentiment:.2f} points below the champion's"
    return Verdict(gate="improvement", passed=problem is None, reason=problem or "comparable", numbers=numbers)


def _gains(rule: ImprovementRule, case: Case, numbers: dict[str, float]) -> Verdict:
    """The first path: enough points of category accuracy."""
    name, what = "category_accuracy_difference", "category accuracy"
    if rule.basis == "ci_low":
        name, what = "category_accuracy_difference_ci_low", "lower end of the 95 % interval of category accuracy"
        comparison = case.comparisons.get("category")
        numbers = numbers | known({name: comparison.accuracy.low} if comparison else {}, name)
    numbers = numbers | {"at_least": rule.improvement}
    if name not in numbers:
        reason = "cannot be compared with the champion: the paired interval of category accuracy is missing"
        return Verdict(gate="improvement", passed=False, reason=reason, numbers=numbers)
    passed = reaches(numbers[name], rule.improvement)
    reason = f"{what} {100 * numbers[name]:+.2f} points on the champion, {100 * rule.improvement:+.2f} needed"
    return Verdict(gate="improvement", passed=passed, reason=reason, numbers=numbers)
