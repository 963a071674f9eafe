"""Which evaluations stand side by side: those of one labelled set; figures of other articles are kept apart."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from eval.evaluation import LoggedEvaluation
from eval.runs import LoggedRun, logged_runs, whole_evaluation


class Selection(NamedTuple):
    """Whole evaluations, those on the same labelled set apart from the others."""

    records: tuple[LoggedEvaluation, ...]
    """On one labelled set, by name of the candidate."""
    others: tuple[LoggedEvaluation, ...]
    """On other sets, so that nothing can be said about their difference from `records`."""


def select_runs(run_ids: Sequence[str] = (), enough_rows: int = 1) -> Selection:
    """These runs, or the newest whole one of each candidate, on the labelled set that most of them were measured on.

    Sets with `enough_rows` articles go before smaller ones, and of sets with equally many candidates the one that was
    used last is taken. Without run ids a candidate counts with its newest run on that set, whatever it saw later.

    Args:
        run_ids: Evaluations; without any, those of all experiments are looked through.
        enough_rows: How large a set should be.

    Raises:
        DataError: a run does not exist, is no evaluation or is partial.
    """
    records = [whole_evaluation(run_id) for run_id in (dict.fromkeys(run_ids) or _newest_of_each(enough_rows))]
    if not records:
        return Selection((), ())
    digest = main_digest([_as_listed(record) for record in records], enough_rows)
    records.sort(key=lambda record: (record.agent, record.started_at))
    same = [record for record in records if record.dataset.digest == digest]
    return Selection(tuple(same), tuple(record for record in records if record.dataset.digest != digest))


def main_digest(runs: Sequence[LoggedRun], enough_rows: int) -> str:
    """The labelled set that decides, as `select_runs` says; at least one run."""

    def weight(digest: str) -> tuple[bool, int, datetime]:
        own = [run for run in runs if run.digest == digest]
        return own[0].rows >= enough_rows, len({run.agent for run in own}), max(run.started_at for run in own)

    return max({run.digest for run in runs}, key=weight)


def _newest_of_each(enough_rows: int) -> list[str]:
    runs = [run for run in logged_runs() if run.is_whole]
    if not runs:
        return []
    digest = main_digest(runs, enough_rows)
    newest = {run.agent: run for run in sorted(runs, key=lambda run: (run.digest == digest, run.started_at))}
    return [run.run_id for run in newest.values()]


def _as_listed(record: LoggedEvaluation) -> LoggedRun:
    return LoggedRun(record.run_id, record.agent, record.dataset.digest, record.dataset.rows, record.started_at, {})
