"""Compares runs with a baseline: figures, differences, and statistics where both answered the same articles."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from agent.labels import TASKS
from eval.compare.records import (
    AgainstBaseline,
    Change,
    CommonRows,
    ComparedRun,
    ComparedRuns,
    MeasuredFigure,
    RunBeside,
)
from eval.evaluation import LoggedEvaluation
from eval.metrics.direction import Direction, direction_of
from eval.runs import load_evaluation, load_predictions
from eval.statistics.comparison import Comparison, adjusted, compare
from eval.statistics.intervals import Interval
from eval.statistics.pairs import common_rows, paired_outcomes

LOW, HIGH = "_ci_low", "_ci_high"
DECIMALS = 12
"""Differences are rounded to so many, so that .94 - .95 is -.01."""
QUALITY = (*(f"{task}_" for task in TASKS), "joint_", "unknown_rate")
"""Figures of the answers: only the paired test says whether they are better, because rows and labels are many."""
COUNTED = "cost_usd"
CANDIDATE_FIELDS = ("provider", "model", "track", "model_hash", "config_hash", "code_hash", "prompt_hash")
Outcome = Literal["better", "worse"] | None
"""Of a change; None where nothing beyond chance can be said."""


def compare_runs(run_ids: Sequence[str]) -> ComparedRuns:
    """Compare runs with the first of them.

    Args:
        run_ids: The baseline, then one run or more.

    Raises:
        DataError: a run is no evaluation, or has no predictions that can be read.
    """
    baseline, *others = [load_evaluation(run_id) for run_id in run_ids]
    answers = load_predictions(baseline.run_id)
    rows, found = [], []
    for other in others:
        theirs = load_predictions(other.run_id)
        rows.append(rows_in_common(baseline, other, answers, theirs))
        found.append([compare(*pair) for pair in paired_outcomes(answers, theirs)])
    candidates = tuple(
        ComparedRun(
            **dict(run_beside(other)),
            against=AgainstBaseline(
                rows=common,
                changed=what_changed(baseline, other),
                changes=changes_between(run_beside(baseline), run_beside(other), common, comparisons),
                comparisons=tuple(comparisons),
            ),
        )
        for other, common, comparisons in zip(others, rows, adjusted_together(found), strict=True)
    )
    return ComparedRuns(baseline=run_beside(baseline), candidates=candidates)


def run_beside(record: LoggedEvaluation) -> RunBeside:
    """What a comparison shows of a run."""
    return RunBeside(
        run_id=record.run_id,
        run_name=record.run_name,
        agent=record.agent,
        provider=record.candidate.provider,
        model=record.candidate.model,
        track=record.candidate.track,
        dataset=record.dataset,
        started_at=record.started_at,
        git_commit=record.git_commit,
        partial=record.partial,
        figures=measured_figures(record.metrics),
    )


def measured_figures(metrics: Mapping[str, float]) -> dict[str, MeasuredFigure]:
    """Figures with their intervals. One that is no number is missing."""
    known = {name: value for name, value in metrics.items() if math.isfinite(value)}
    ends = {f"{name}{end}" for name in known for end in (LOW, HIGH)}
    return {
        name: MeasuredFigure(value=value, low=known.get(name + LOW), high=known.get(name + HIGH))
        for name, value in known.items()
        if name not in ends
    }


def rows_in_common(
    baseline: LoggedEvaluation, other: LoggedEvaluation, answers: pd.DataFrame, theirs: pd.DataFrame
) -> CommonRows:
    """How many articles two runs have in common."""
    return CommonRows(
        same_set=baseline.dataset.digest == other.dataset.digest,
        common=len(common_rows(answers, theirs)),
        baseline=len(answers),
        candidate=len(theirs),
    )


def what_changed(baseline: LoggedEvaluation, other: LoggedEvaluation) -> tuple[str, ...]:
    """What about the candidate, and whether the labelled set, is not as in the baseline."""
    before, after = baseline.candidate, other.candidate
    changed = [name for name in CANDIDATE_FIELDS if getattr(before, name) != getattr(after, name)]
    return (*changed, *(["dataset"] if baseline.dataset.digest != other.dataset.digest else []))


def adjusted_together(found: Sequence[Sequence[Comparison]]) -> list[list[Comparison]]:
    """Comparisons of several candidates with one baseline, Holm-adjusted over the candidates task by task."""
    results: list[list[Comparison]] = [[] for _ in found]
    for task in dict.fromkeys(one.task for comparisons in found for one in comparisons):
        places = [place for place, comparisons in enumerate(found) if any(one.task == task for one in comparisons)]
        family = [next(one for one in found[place] if one.task == task) for place in places]
        for place, one in zip(places, adjusted(family), strict=True):
            results[place].append(one)
    return results


def changes_between(
    baseline: RunBeside, other: RunBeside, rows: CommonRows, comparisons: Sequence[Comparison]
) -> dict[str, Change]:
    """The change of every figure that one of the two has."""
    known: dict[str, Outcome] = dict.fromkeys(name for name in other.figures if name.startswith(QUALITY))
    if rows.all_common:
        known |= {f"{one.task}_accuracy": verdict_outcome(one) for one in comparisons}
        known |= {f"{one.task}_macro_f1": f1_outcome(one) for one in comparisons}
    return {
        name: change_of(name, baseline.figures.get(name), other.figures.get(name), known)
        for name in dict.fromkeys([*baseline.figures, *other.figures])
    }


def change_of(
    name: str, baseline: MeasuredFigure | None, other: MeasuredFigure | None, known: Mapping[str, Outcome]
) -> Change:
    """The change of one figure."""
    direction = direction_of(name)
    if baseline is None or other is None:
        return Change(
            baseline=baseline.value if baseline else None,
            candidate=other.value if other else None,
            difference=None,
            relative=None,
            direction=direction,
            outcome=None,
        )
    difference = round(other.value - baseline.value, DECIMALS)
    outcome = known[name] if name in known else unpaired_outcome(name, direction, baseline, other)
    return Change(
        baseline=baseline.value,
        candidate=other.value,
        difference=difference,
        relative=relative_change(difference, baseline.value),
        direction=direction,
        outcome=outcome,
    )


def relative_change(difference: float, baseline: float) -> float | None:
    """The difference as a fraction of the baseline's size; None where only the baseline is 0."""
    if difference == 0:
        return 0.0
    return round(difference / abs(baseline), DECIMALS) if baseline else None


def verdict_outcome(comparison: Comparison) -> Outcome:
    """What the paired test says about accuracy."""
    return comparison.verdict if comparison.verdict in ("better", "worse") else None


def f1_outcome(comparison: Comparison) -> Outcome:
    """The verdict on accuracy, which is adjusted over all candidates, where the interval of macro-F1 agrees with it."""
    beyond = {"better": comparison.macro_f1.low > 0, "worse": comparison.macro_f1.high < 0}
    outcome = verdict_outcome(comparison)
    return outcome if outcome and beyond[outcome] else None


def unpaired_outcome(
    name: str, direction: Direction | None, baseline: MeasuredFigure, other: MeasuredFigure
) -> Outcome:
    """Better or worse only where the intervals lie apart; costs were counted, so there every difference is one."""
    if direction is None:
        return None
    before, after = interval_of(name, baseline), interval_of(name, other)
    if before is None or after is None:
        return None
    if after.low > before.high:
        return "better" if direction == "up" else "worse"
    if after.high < before.low:
        return "worse" if direction == "up" else "better"
    return None


def interval_of(name: str, figure: MeasuredFigure) -> Interval | None:
    """The interval of a figure; costs are exact; None where nobody knows."""
    if figure.low is not None and figure.high is not None:
        return Interval(figure.low, figure.high)
    return Interval(figure.value, figure.value) if name.startswith(COUNTED) else None
