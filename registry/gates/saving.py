"""The second path to challenger: not worse than the champion, at a share of its cost or of its p95 latency."""

from pydantic import BaseModel, ConfigDict, Field

from registry.gates.figures import Number, known, reaches
from registry.gates.verdict import Case, Verdict

LOW = "category_accuracy_difference_ci_low"


class SavingRule(BaseModel):
    """What "not worse" and "much cheaper or faster" mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy_may_drop: Number = Field(default=0.03, ge=0)
    """How far below 0 the lower end of the paired 95 % interval of category accuracy may lie, a fraction."""
    cost_share: Number = Field(default=0.5, gt=0, lt=1)
    """Share of the champion's cost of 1,000 articles that is cheap enough; exactly this much counts."""
    latency_share: Number = Field(default=0.5, gt=0, lt=1)
    """Share of the champion's p95 latency that is fast enough; exactly this much counts."""


def saves(rule: SavingRule, case: Case) -> Verdict:
    """Whether a candidate is not worse, and clearly cheaper or faster. Of a cost or latency of 0 nothing is saved."""
    comparison = case.comparisons.get("category")
    numbers = known({LOW: comparison.accuracy.low} if comparison else {}, LOW)
    numbers["low_at_least"] = -rule.accuracy_may_drop
    if LOW not in numbers:
        reason = "no saving: the paired interval of category accuracy is missing"
        return Verdict(gate="saving", passed=False, reason=reason, numbers=numbers)
    if not reaches(numbers[LOW], -rule.accuracy_may_drop):
        reason = (
            f"no saving: category accuracy may be {-100 * numbers[LOW]:.2f} points below the champion's (lower end of "
            f"the 95 % interval), {100 * rule.accuracy_may_drop:.2f} allowed"
        )
        return Verdict(gate="saving", passed=False, reason=reason, numbers=numbers)
    said = []
    for what, metric, share in (
        ("cost", "cost_usd_per_1k", rule.cost_share),
        ("p95 latency", "latency_ms_p95", rule.latency_share),
    ):
        mine, champions = known(case.metrics, metric), known(case.champion or {}, metric)
        if mine and champions and champions[metric] > 0:
            found = mine[metric] / champions[metric]
            numbers |= {f"{metric}_share": found, f"{metric}_share_at_most": share}
            said.append((reaches(share, found), f"{what} is {found:.2f} of the champion's, {share:.2f} needed"))
        else:
            said.append((False, f"{what} cannot be compared"))
    passed = any(enough for enough, _ in said)
    reasons = "; ".join(reason for enough, reason in said if enough or not passed)
    text = f"category accuracy is not worse and {reasons}" if passed else f"no saving: {reasons}"
    return Verdict(gate="saving", passed=passed, reason=text, numbers=numbers)
