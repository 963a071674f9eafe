"""Whether one candidate is better than another, from their answers to the same articles."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from eval.outcomes import TaskOutcome

Verdict = Literal["better", "worse", "tie", "underpowered"]


class Difference(BaseModel):
    """Candidate minus baseline of one figure, a fraction in [-1, 1], with its intervals."""

    model_config = ConfigDict(frozen=True)

    baseline: float
    candidate: float
    difference: float
    low: float
    """Lower end of the paired 95 % interval."""
    high: float
    low_90: float
    """Lower end of the paired 90 % interval."""
    high_90: float


class ClassDifference(BaseModel):
    """Candidate minus baseline of the recall of one label, over the articles that have it in gold."""

    model_config = ConfigDict(frozen=True)

    label: str
    support: int
    """Gold articles of the label."""
    difference: float
    p_value: float
    """Two-sided, of the articles of this label alone."""
    adjusted_p_value: float
    """Holm over the labels of the task."""


class Comparison(BaseModel):
    """A candidate against a baseline on one task, on the same articles."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    task: str
    """`category`, `sentiment` or `joint`."""
    rows: int
    stories: int | None
    """Independent groups of articles; None where every article stands for itself."""
    accuracy: Difference
    macro_f1: Difference
    only_baseline_right: int
    """Discordant articles: those that only the baseline got right, and the next the other way round."""
    only_candidate_right: int
    test: Literal["exact McNemar", "sign-flip permutation of stories"]
    p_value: float
    """Two-sided."""
    adjusted_p_value: float
    """Holm over all comparisons that were made together; `p_value` where it is the only one."""
    comparisons: int = 1
    """How many were made together."""
    smallest_detectable: float
    """Difference of accuracy that a set of this size and discordance shows with 80 % power."""
    classes: tuple[ClassDifference, ...]
    verdict: Verdict


def compare(baseline: TaskOutcome, candidate: TaskOutcome) -> Comparison:
    """Compare two candidates on the same articles."""
    raise NotImplementedError


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's adjustment over all of them, verdicts included."""
    raise NotImplementedError
