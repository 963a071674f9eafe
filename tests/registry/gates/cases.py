"""Cases for the tests of gates."""

from collections.abc import Mapping
from datetime import date

import numpy as np

from eval.lifecycle import Lifecycle
from eval.outcomes import TaskOutcome
from eval.statistics.comparison import Comparison, compare
from registry.gates.verdict import Case

MISSING = (float("nan"), float("inf"), float("-inf"), None)
"""What a figure can be that is none."""


def case(metrics: Mapping[str, float | None] | None = None, **more: object) -> Case:
    """A candidate with these figures, those that are not None, and nothing else unless it is given."""
    figures = {name: value for name, value in (metrics or {}).items() if value is not None}
    empty = Case(figures, "openai", "news-7", None, {}, Lifecycle(models=()), date(2026, 11, 1))
    return empty._replace(**more)  # type: ignore[arg-type]


def compared(both: int, only_champion: int, only_candidate: int, neither: int = 0) -> dict[str, Comparison]:
    """Candidate against champion, who were right together, alone and never so often."""
    sizes = (both, only_champion, only_candidate, neither)
    champion, candidate = (
        TaskOutcome("category", ("a", "b"), np.zeros(sum(sizes), dtype=int), np.repeat(wrong, sizes), None)
        for wrong in ([0, 0, 1, 1], [0, 1, 0, 1])
    )
    return {"category": compare(champion, candidate)}
