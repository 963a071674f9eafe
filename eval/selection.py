"""Which evaluations stand side by side: those of one labelled set; figures of other articles are kept apart."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, get_args

import mlflow

from agent.config import Track
from eval.evaluation import LoggedEvaluation
from eval.runs import whole_evaluation
from eval.tags import COMPLETE, COMPLETE_TAG
from eval.tracking import experiment_name


class Selection(NamedTuple):
    """Whole evaluations, those on the same labelled set apart from the others."""

    records: tuple[LoggedEvaluation, ...]
    """On one labelled set, by name of the candidate."""
    others: tuple[LoggedEvaluation, ...]
    """On other sets, so that nothing can be said about their difference from `records`."""


class Head(NamedTuple):
    """As much of a run as is needed to choose."""

    run_id: str
    agent: str
    digest: str
    rows: int
    started_at: datetime


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
    digest = main_digest([_head(record) for record in records], enough_rows)
    records.sort(key=lambda record: (record.agent, record.started_at))
    same = [record for record in records if record.dataset.digest == digest]
    return Selection(tuple(same), tuple(record for record in records if record.dataset.digest != digest))


def main_digest(heads: Sequence[Head], enough_rows: int) -> str:
    """The labelled set that decides, as `select_runs` says; at least one head."""

    def weight(digest: str) -> tuple[bool, int, datetime]:
        own = [head for head in heads if head.digest == digest]
        return own[0].rows >= enough_rows, len({head.agent for head in own}), max(head.started_at for head in own)

    return max({head.digest for head in heads}, key=weight)


def _newest_of_each(enough_rows: int) -> list[str]:
    heads = _all_heads()
    if not heads:
        return []
    digest = main_digest(heads, enough_rows)
    newest: dict[str, Head] = {}
    for head in sorted(heads, key=lambda head: (head.digest == digest, head.started_at)):
        newest[head.agent] = head
    return [head.run_id for head in newest.values()]


def _all_heads() -> list[Head]:
    runs = mlflow.search_runs(
        experiment_names=list(dict.fromkeys(experiment_name(track) for track in get_args(Track))),
        filter_string=f"tags.{COMPLETE_TAG} = '{COMPLETE}'",
        output_format="list",
    )
    heads = []
    for run in runs:
        params = run.data.params | {  # `mlflow run` may have taken the plain names
            name.removeprefix("resolved."): value
            for name, value in run.data.params.items()
            if name.startswith("resolved.")
        }
        if {"agent", "dataset_digest", "articles"} <= set(params) and params["articles"].isdecimal():
            started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
            heads.append(
                Head(run.info.run_id, params["agent"], params["dataset_digest"], int(params["articles"]), started)
            )
    return heads


def _head(record: LoggedEvaluation) -> Head:
    return Head(record.run_id, record.agent, record.dataset.digest, record.dataset.rows, record.started_at)
