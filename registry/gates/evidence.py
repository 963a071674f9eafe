"""Whether the evidence suffices to promote a challenger although nobody has looked."""

from pydantic import BaseModel, ConfigDict

from registry.gates.figures import Rows, known, too_few
from registry.gates.verdict import Case, Verdict


class EvidenceRule(BaseModel):
    """What the comparison with the champion must show; its verdict on category must be `better`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_rows: Rows = 200
    """Articles that both answered."""


def evidence_suffices(rule: EvidenceRule, case: Case) -> Verdict:
    """Whether the candidate is better than the champion beyond chance, after Holm's adjustment, on enough articles.

    Warns where the same rows were used to choose among several candidates.
    """
    comparison = case.comparisons.get("category")
    if comparison is None:
        reason = "there is no comparison with the champion on the same rows"
        return Verdict(gate="evidence", passed=False, reason=reason, numbers={"min_rows": rule.min_rows})
    found = {
        "category_accuracy_difference": comparison.accuracy.difference,
        "category_accuracy_difference_ci_low": comparison.accuracy.low,
        "category_accuracy_difference_ci_high": comparison.accuracy.high,
        "adjusted_p_value": comparison.adjusted_p_value,
        "smallest_detectable": comparison.smallest_detectable,
        "rows": float(comparison.rows),
        "comparisons": float(comparison.comparisons),
    }
    numbers = known(found, *found)
    problem = too_few("the difference", comparison.rows, rule.min_rows)
    if missing := [name for name in found if name not in numbers]:
        problem = f"{', '.join(missing)} is missing"
    accuracy, chosen = comparison.accuracy, comparison.comparisons > 1
    reason = problem or (
        f"category is {comparison.verdict}{'' if comparison.verdict == 'better' else ', better is needed'}: "
        f"{100 * accuracy.difference:+.2f} points, 95 % interval {100 * accuracy.low:+.2f} to "
        f"{100 * accuracy.high:+.2f}, adjusted p {comparison.adjusted_p_value:.3g}, {comparison.rows} articles"
        + (f" that {comparison.comparisons} candidates were chosen from" if chosen else "")
    )
    passed = problem is None and comparison.verdict == "better"
    return Verdict(
        gate="evidence",
        passed=passed,
        reason=reason,
        numbers=numbers | {"min_rows": rule.min_rows},
        warning=passed and chosen,
    )
