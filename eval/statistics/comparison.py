"""Whether one candidate is better than another, from their answers to the same articles."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from agent.errors import EvaluationError
from eval.outcomes import Floats, Integers, TaskOutcome
from eval.statistics.intervals import Interval, effective_size, paired_interval, percentile_interval, widest
from eval.statistics.paired_bootstrap import paired_scores
from eval.statistics.paired_tests import holm, mcnemar, sign_flip
from eval.statistics.power import ALPHA, smallest_detectable

TIE = 0.02
"""Differences of accuracy within this are none that matters."""

CONFIDENCES = (0.95, 0.90)

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
    """Difference of accuracy that a set of this size and discordance shows with 80 % power, at the strictest level that
    Holm's adjustment tests at; 1 where it can show none."""
    classes: tuple[ClassDifference, ...]
    verdict: Verdict


def compare(baseline: TaskOutcome, candidate: TaskOutcome) -> Comparison:
    """Compare two candidates on the same articles.

    Intervals are percentiles of a paired bootstrap, of articles or of whole stories; that of accuracy is never narrower
    than the score interval, because the bootstrap of a few discordant articles is too narrow. Both tasks together are
    compared without their classes.

    Args:
        baseline: What is compared with, such as the champion.
        candidate: The same task, labels and articles in the same order.

    Raises:
        EvaluationError: There are no articles, or the two are not of the same ones.
    """
    _check(baseline, candidate)
    wins = (candidate.predicted == candidate.gold).astype(np.int64) - (baseline.predicted == baseline.gold)
    only_baseline, only_candidate = int((wins < 0).sum()), int((wins > 0).sum())
    rows, stories = len(wins), baseline.stories
    size = effective_size(wins.astype(float), stories)
    score_intervals = [
        paired_interval(only_baseline * size / rows, only_candidate * size / rows, size, confidence)
        for confidence in CONFIDENCES
    ]
    measured, resampled = paired_scores(baseline, candidate)
    accuracy = _difference(measured.accuracy, resampled.accuracy, score_intervals)
    p_value = _p_value(wins, stories)
    return Comparison(
        task=baseline.name,
        rows=rows,
        stories=None if stories is None else len(np.unique(stories)),
        accuracy=accuracy,
        macro_f1=_difference(measured.macro_f1, resampled.macro_f1, [None, None]),
        only_baseline_right=only_baseline,
        only_candidate_right=only_candidate,
        test="exact McNemar" if stories is None else "sign-flip permutation of stories",
        p_value=p_value,
        adjusted_p_value=p_value,
        smallest_detectable=smallest_detectable(max(1, round(size)), (only_baseline + only_candidate) / rows),
        classes=() if baseline.name == "joint" else _class_differences(baseline, wins),
        verdict=verdict_of(accuracy, p_value),
    )


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's adjustment over all of them, verdicts included.

    What was adjusted before is adjusted anew, from its own p-value.
    """
    p_values = holm([one.p_value for one in comparisons])
    return [_with(one, p_value, len(comparisons)) for one, p_value in zip(comparisons, p_values, strict=True)]


def adjusted_among(one: Comparison, others: Sequence[float]) -> Comparison:
    """The same comparison with Holm's adjustment over it and others, of which the p-values are enough.

    Args:
        one: Adjusted anew from its own p-value.
        others: Two-sided p-values of the other comparisons, before any adjustment.
    """
    return _with(one, holm([one.p_value, *others])[0], 1 + len(others))


def verdict_of(accuracy: Difference, adjusted_p_value: float) -> Verdict:
    """What the difference of accuracy and its p-value say together."""
    if adjusted_p_value <= ALPHA:
        return "better" if accuracy.difference > 0 else "worse"
    return "tie" if accuracy.low_90 > -TIE and accuracy.high_90 < TIE else "underpowered"


def _check(baseline: TaskOutcome, candidate: TaskOutcome) -> None:
    if not len(baseline.gold):
        raise EvaluationError(f"No articles to compare for {baseline.name!r}: at least one is needed. Give other runs.")
    if (baseline.name, baseline.labels) != (candidate.name, candidate.labels):
        raise EvaluationError(
            f"{baseline.name!r} with labels {baseline.labels!r} cannot be compared with {candidate.name!r} with labels "
            f"{candidate.labels!r}: task and labels must be the same. Compare runs of one configuration of labels."
        )
    for one in (baseline, candidate):
        if len(one.predicted) != len(baseline.gold) or len(one.gold) != len(baseline.gold):
            raise EvaluationError(
                f"{len(one.predicted)!r} predictions of {baseline.name!r} cannot be compared over "
                f"{len(baseline.gold)!r} articles: each needs one. Compare only the articles that both answered."
            )
    if (baseline.gold != candidate.gold).any() or not _equal(baseline.stories, candidate.stories):
        raise EvaluationError(
            f"The gold labels or stories of {baseline.name!r} differ between the two: they must be of the same "
            "articles in the same order. Evaluate both on one labelled set."
        )


def _equal(first: Integers | None, second: Integers | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)


def _difference(measured: Floats, resampled: Floats, at_least: Sequence[Interval | None]) -> Difference:
    """Of two figures, shape (2,), and of their resamples, shape (RESAMPLES, 2); intervals cover those of `at_least`."""
    intervals = []
    for confidence, least in zip(CONFIDENCES, at_least, strict=True):
        interval = widest(percentile_interval(resampled[:, 1] - resampled[:, 0], confidence), least)
        assert interval
        intervals.append(interval)
    of_95, of_90 = intervals
    return Difference(
        baseline=float(measured[0]),
        candidate=float(measured[1]),
        difference=float(measured[1] - measured[0]),
        low=of_95.low,
        high=of_95.high,
        low_90=of_90.low,
        high_90=of_90.high,
    )


def _p_value(wins: Integers, stories: Integers | None) -> float:
    """Of the candidate's wins: 1, 0 or -1 for each article."""
    if stories is None:
        return float(mcnemar((wins < 0).sum(), (wins > 0).sum()))
    numbers, names = pd.factorize(stories)
    return sign_flip(np.bincount(numbers, weights=wins, minlength=len(names)).round().astype(np.int64))


def _with(one: Comparison, adjusted_p_value: float, comparisons: int) -> Comparison:
    return one.model_copy(
        update={
            "adjusted_p_value": adjusted_p_value,
            "comparisons": comparisons,
            "smallest_detectable": _detectable_among(comparisons, one),
            "verdict": verdict_of(one.accuracy, adjusted_p_value),
        }
    )


def _detectable_among(comparisons: int, one: Comparison) -> float:
    """Its smallest detectable difference when made together with others; stories stretch it as they did before."""
    discordance = (one.only_baseline_right + one.only_candidate_right) / one.rows
    before = smallest_detectable(one.rows, discordance, ALPHA / one.comparisons)
    after = smallest_detectable(one.rows, discordance, ALPHA / comparisons)
    return min(1.0, one.smallest_detectable * (after / before))


def _class_differences(outcome: TaskOutcome, wins: Integers) -> tuple[ClassDifference, ...]:
    present = np.unique(outcome.gold)
    of_label = [outcome.gold == index for index in present]
    p_values = [_p_value(wins[rows], None if outcome.stories is None else outcome.stories[rows]) for rows in of_label]
    return tuple(
        ClassDifference(
            label=outcome.labels[index],
            support=int(rows.sum()),
            difference=float(wins[rows].mean()),
            p_value=p_value,
            adjusted_p_value=adjusted_p_value,
        )
        for index, rows, p_value, adjusted_p_value in zip(present, of_label, p_values, holm(p_values), strict=True)
    )
