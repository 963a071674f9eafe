"""Which runs are compared: the newest of each candidate, a candidate's last ones, or those that were named."""

from collections.abc import Callable, Sequence
from itertools import islice

import mlflow

from agent.errors import DataError
from eval.runs import LoggedRun, logged_runs

EVALUATE_FIRST = "Evaluate first: news-classifier eval run"


def newest_of_each(key: Callable[[LoggedRun], object]) -> list[LoggedRun]:
    """The newest run for each value of a key, newest first; runs whose key is None are left out."""
    first: dict[object, LoggedRun] = {}
    for run in logged_runs():
        value = key(run)
        if value is not None:
            first.setdefault(value, run)
    return list(first.values())


def runs_of_each_candidate() -> list[str]:
    """The newest run of each candidate, a local one first: it is the free baseline that the others must beat.

    Raises:
        DataError: there are fewer than two candidates with a run.
    """
    runs = newest_of_each(lambda run: run.agent)
    if not runs:
        raise DataError(f"There is no evaluation yet. {EVALUATE_FIRST}.")
    if len(runs) == 1:
        raise DataError(
            f"Only {runs[0].agent!r} has a run, so there is nothing to compare it with. Evaluate another candidate, "
            "or compare its last two runs: news-classifier eval compare --latest."
        )
    return [run.run_id for run in sorted(runs, key=lambda run: run.tags.get("track") != "local")]


def last_runs(count: int, agent: str | None) -> list[str]:
    """The last runs of a candidate, oldest first.

    Args:
        count: How many at most.
        agent: Name of the candidate; without, the one of the newest run.

    Raises:
        DataError: it has none.
    """
    runs = logged_runs()
    if agent is None:
        newest = next(runs, None)
        if newest is None:
            raise DataError(f"There is no evaluation yet. {EVALUATE_FIRST}.")
        agent = newest.agent
        runs = logged_runs()
    of_agent = (run.run_id for run in runs if run.agent == agent)
    found = list(islice(of_agent, count))
    if not found:
        known = ", ".join(sorted({repr(run.agent) for run in logged_runs()})) or "none"
        raise DataError(f"The candidate {agent!r} has no run. Candidates with runs: {known}. {EVALUATE_FIRST}.")
    return found[::-1]


def latest_and_previous(agent: str | None) -> list[str]:
    """The previous run of a candidate and its newest. Raises DataError where it has fewer than two."""
    found = last_runs(2, agent)
    if len(found) < 2:
        name = "The newest candidate" if agent is None else repr(agent)
        raise DataError(f"{name} has one run only, {found[0]!r}; there is no previous one. Evaluate again.")
    return found


def checked_runs(run_ids: Sequence[str]) -> list[str]:
    """Runs named by a person. Raises DataError for fewer than two, or one named twice."""
    if len(run_ids) < 2:
        raise DataError(
            f"Only run {run_ids[0]!r} is given. Name two or more; the first is the baseline. "
            "Or compare a candidate's last two runs: --latest."
        )
    if twice := [run_id for place, run_id in enumerate(run_ids) if run_id in run_ids[:place]]:
        raise DataError(f"Run {twice[0]!r} is named twice. Name each run once.")
    return list(run_ids)


def tags_of(run_id: str) -> dict[str, str]:
    """The tags of a run."""
    tags: dict[str, str] = mlflow.get_run(run_id).data.tags
    return tags
