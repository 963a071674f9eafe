"""Gate: what the calls cost."""

from typing import Literal

from registry.gates.ceiling import CeilingRule, ceiling
from registry.gates.verdict import Case, Verdict


class CostRule(CeilingRule):
    """The largest cost of 1,000 answered articles, in US dollars."""

    basis: Literal["point"] = "point"
    """A cost is what was paid, and has no interval."""


def cost(rule: CostRule, case: Case) -> Verdict:
    """Whether `cost_usd_per_1k` stays below its ceiling. A cost that is not known, as without a price, fails."""
    return ceiling("cost", "cost_usd_per_1k", rule, case)
