"""Gate: how many articles get no answer."""

from registry.gates.ceiling import CeilingRule, ceiling
from registry.gates.verdict import Case, Verdict


class FailureRateRule(CeilingRule):
    """The largest share of articles that ended in an error, a fraction."""


def failure_rate(rule: FailureRateRule, case: Case) -> Verdict:
    """Whether `error_rate` stays below its ceiling."""
    return ceiling("failure_rate", "error_rate", rule, case)
