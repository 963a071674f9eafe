"""Runs in groups: by track, provider, model, or a tag of one's own."""

import math
from collections.abc import Callable, Sequence

from agent.errors import DataError
from eval.compare.compare import run_beside
from eval.compare.records import GroupedRuns, GroupMean, RunBeside, RunGroup
from eval.compare.run_choice import EVALUATE_FIRST, newest_of_each, tags_of
from eval.runs import LoggedRun, load_evaluation

FIELDS = ("track", "provider", "model")
TAG = "tag:"
EXPECTED = "track, provider, model, or tag:KEY"


def checked_by(by: str) -> str:
    """What runs can be grouped by. Raises ValueError for anything else."""
    if by in FIELDS or (by.startswith(TAG) and by != TAG):
        return by
    raise ValueError(f"{by!r} is nothing to group by; expected {EXPECTED}")


def group_runs(by: str, run_ids: Sequence[str] = ()) -> GroupedRuns:
    """Groups of runs with counts and means.

    Args:
        by: As `checked_by` allows.
        run_ids: Without any, the newest of each candidate in each group, leaving out those that lack the tag.

    Raises:
        DataError: there is none, or one is no evaluation.
    """
    key = by.removeprefix(TAG)
    chosen = list(run_ids) or [run.run_id for run in newest_of_each(_candidate_in_group(key))]
    if not chosen:
        problem = f"No evaluation has the tag {key!r}" if by.startswith(TAG) else "There is no evaluation yet"
        raise DataError(f"{problem}. {EVALUATE_FIRST}{f' --tag {key}=VALUE' if by.startswith(TAG) else ''}.")
    groups: dict[str | None, list[RunBeside]] = {}
    for run_id in chosen:
        run = run_beside(load_evaluation(run_id))
        value = tags_of(run_id).get(key) if by.startswith(TAG) else str(getattr(run, by))
        groups.setdefault(value, []).append(run)
    return GroupedRuns(by=by, groups=tuple(run_group(value, runs) for value, runs in groups.items()))


def run_group(value: str | None, runs: Sequence[RunBeside]) -> RunGroup:
    """What a group has in numbers."""
    names = dict.fromkeys(name for run in runs for name in run.figures if name != "articles")
    return RunGroup(
        value=value,
        run_ids=tuple(run.run_id for run in runs),
        articles=sum(articles_of(run) for run in runs),
        datasets=len({run.dataset.digest for run in runs}),
        partial=sum(run.partial is not None for run in runs),
        means={name: weighted_mean(name, runs) for name in names},
    )


def weighted_mean(name: str, runs: Sequence[RunBeside]) -> GroupMean:
    """Mean of a figure over the runs that have it (one at least), weighted by their articles."""
    having = [run for run in runs if name in run.figures]
    weights = [articles_of(run) for run in having]
    total = math.fsum(run.figures[name].value * weight for run, weight in zip(having, weights, strict=True))
    return GroupMean(mean=total / sum(weights), runs=len(having))


def articles_of(run: RunBeside) -> int:
    """How many articles a run was asked about."""
    counted = run.figures.get("articles")
    return int(counted.value) if counted else run.dataset.rows


def _candidate_in_group(key: str) -> Callable[[LoggedRun], object]:
    return lambda run: (run.agent, run.tags[key]) if key in run.tags else None
