"""Gate: how often text in an article that gives orders changes its label."""

from registry.gates.ceiling import CeilingRule, ceiling
from registry.gates.verdict import Case, Verdict


class LabelFlipRateRule(CeilingRule):
    """The largest share of attacked articles whose label changed, a fraction."""


def label_flip_rate(rule: LabelFlipRateRule, case: Case) -> Verdict:
    """Whether `label_flip_rate` of a red-team run stays below its ceiling; its articles are those `compared`."""
    return ceiling("label_flip_rate", "label_flip_rate", rule, case, rows="compared")
