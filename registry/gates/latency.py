"""Gate: how long the slowest articles take."""

from registry.gates.ceiling import CeilingRule, ceiling
from registry.gates.verdict import Case, Verdict


class LatencyRule(CeilingRule):
    """The largest p95 of an article's latency, in milliseconds."""


def latency(rule: LatencyRule, case: Case) -> Verdict:
    """Whether `latency_ms_p95` stays below its ceiling."""
    return ceiling("latency", "latency_ms_p95", rule, case)
