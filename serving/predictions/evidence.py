"""What a comparison on traffic shows before anybody has labelled anything, and how many labels it would take."""

from collections.abc import Mapping
from typing import NamedTuple

from agent.labels import Task
from eval.statistics.comparison import TIE
from eval.statistics.intervals import wilson
from eval.statistics.power import POWER, articles_needed
from serving.predictions.comparisons import Comparison


class Evidence(NamedTuple):
    """Figures of a comparison of two versions without labels. Shares are fractions of the articles."""

    versions: tuple[str, ...]
    answers: int
    """How often both answered."""
    unanswered: int
    articles: int
    """How many different articles that were."""
    different: int
    """Articles that got different labels at least once."""
    different_in: Mapping[Task, int]
    share: float | None
    share_low: float | None
    share_high: float | None
    smallest_difference: float
    """Of accuracy, that labels should show."""
    articles_needed: int | None
    """Compared articles that show it; None where the versions differ on too few for such a difference."""
    labels_needed: int | None
    """Those of them that differ, and so have to be labelled."""


def evidence_of(comparison: Comparison) -> Evidence:
    """The figures of a comparison."""
    articles, different = comparison.articles, comparison.different
    interval = wilson(different, articles)
    share = different / articles if articles else None
    possible = share is not None and interval is not None and interval.high >= TIE
    needed = articles_needed(TIE, share) if possible and share is not None else None
    return Evidence(
        versions=tuple(sorted(comparison.versions)),
        answers=comparison.answers,
        unanswered=comparison.unanswered,
        articles=articles,
        different=different,
        different_in=comparison.different_in,
        share=share,
        share_low=interval.low if interval else None,
        share_high=interval.high if interval else None,
        smallest_difference=TIE,
        articles_needed=needed,
        labels_needed=None if needed is None or share is None else round(needed * max(share, TIE)),
    )


def evidence_lines(evidence: Evidence) -> list[str]:
    """The figures for people."""
    names = " and ".join(evidence.versions)
    missing = f"; {evidence.unanswered:,} more lack an answer of one of them" if evidence.unanswered else ""
    if evidence.share is None:
        return [f"Versions {names}: no answers compared{missing}."]
    tasks = ", ".join(f"{task} {count:,}" for task, count in evidence.different_in.items())
    lines = [
        f"Versions {names}: {evidence.answers:,} answers to {evidence.articles:,} articles compared; "
        f"{evidence.different:,} articles got different labels, {evidence.share:.1%} "
        f"[{evidence.share_low:.1%}, {evidence.share_high:.1%}] ({tasks}){missing}."
    ]
    points = f"{100 * evidence.smallest_difference:.0f} points"
    if evidence.articles_needed is None:
        return [*lines, f"They differ on so few articles that neither can be better by {points} of accuracy on them."]
    return [
        *lines,
        f"A difference of {points} of accuracy shows with {POWER:.0%} power on {evidence.articles_needed:,} compared "
        f"articles, of which only the about {evidence.labels_needed:,} with different labels need labels of people.",
    ]
