"""Gold labels that look wrong, because candidates agree on another one or a model is confident of it.

A suspect is for a person to judge: candidates can be wrong together, and a set from which they were taken out flatters
all of them. So they are only taken out to see whether the order of the candidates hangs on them, and only those that
most candidates contradict: what one model alone suspects would flatter that one.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata

from agent.errors import DataError
from agent.labels import TASKS, UNKNOWN, Task
from eval.audit.confident_learning import NONE, confident_errors
from eval.evaluation import DatasetRecord
from eval.statistics.pairs import IDENTITY

Booleans = npt.NDArray[np.bool_]
Reason = Literal["candidates agree", "confident learning"]


class Suspect(BaseModel):
    """One gold label to look at."""

    model_config = ConfigDict(frozen=True)

    id: str
    """As in `predictions.csv`."""
    title: str
    task: Task
    gold: str
    suggested: str
    """What most candidates say, or else the model that confident learning asked."""
    votes: int
    """Candidates that say `suggested`."""
    candidates: int
    """Candidates that judge the task."""
    confidence: float | None
    """Of the model in `suggested`; None without probabilities."""
    reasons: tuple[Reason, ...]


class Rank(BaseModel):
    """How a candidate does with and without the labels that most candidates contradict; equal ones share a rank."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    name: str
    accuracy: float
    accuracy_without: float | None
    """None where that is every article."""
    rank: int
    rank_without: int | None


class Audit(BaseModel):
    """The suspects of a labelled set, the strongest first, and what hangs on them."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    dataset: DatasetRecord
    suspects: tuple[Suspect, ...]
    estimated_errors: dict[Task, float]
    """Wrong labels that confident learning estimates, for the tasks where there were probabilities."""
    ranked_by: Task
    ranking: tuple[Rank, ...]
    ranking_changes: bool
    """Whether some candidate has another rank without the labels that most candidates contradict."""


class Candidate(NamedTuple):
    """One run over the labelled set."""

    run_id: str
    name: str
    predictions: pd.DataFrame
    """As `eval.runs.load_predictions` reads them."""


def audit(dataset: DatasetRecord, candidates: Sequence[Candidate], probabilities: Mapping[Task, pd.DataFrame]) -> Audit:
    """Find suspects in every task, and rank the candidates with and without them.

    Args:
        dataset: What all of them were measured on.
        candidates: At least one.
        probabilities: Of a model that did not learn from these articles, as `load_probabilities` reads them; a task may
            be missing.

    Raises:
        DataError: the candidates did not answer the same articles.
    """
    frames = _aligned(candidates)
    tasks = [task for task in TASKS if (frames[0][f"gold_{task}"] != "").all() and _judging(task, frames)]
    if not tasks:
        raise DataError(f"No candidate judges a label of {dataset.path}, so none can be audited. Evaluate another one.")
    suspects: dict[Task, list[Suspect]] = {}
    estimates: dict[Task, float] = {}
    for task in tasks:
        suspects[task], estimate = _suspects(task, frames, probabilities.get(task))
        if estimate is not None:
            estimates[task] = estimate
    ranked_by = tasks[0]
    taken_out = frames[0].index.isin([one.id for one in suspects[ranked_by] if "candidates agree" in one.reasons])
    ranking = _ranking(ranked_by, candidates, frames, taken_out)
    found = sorted((one for task in tasks for one in suspects[task]), key=_strength)
    return Audit(
        dataset=dataset,
        suspects=tuple(found),
        estimated_errors=estimates,
        ranked_by=ranked_by,
        ranking=ranking,
        ranking_changes=any(one.rank_without is not None and one.rank != one.rank_without for one in ranking),
    )


def _aligned(candidates: Sequence[Candidate]) -> list[pd.DataFrame]:
    """Predictions of all candidates in the order of the first one's articles."""
    first = candidates[0].predictions
    frames = []
    for candidate in candidates:
        frame = candidate.predictions
        if len(frame) != len(first) or not first.index.isin(frame.index).all():
            raise DataError(f"Run {candidate.run_id!r} did not answer the articles of {candidates[0].run_id!r}.")
        frame = frame.loc[first.index]
        if not (frame[IDENTITY] == first[IDENTITY]).all(axis=None):
            raise DataError(f"Run {candidate.run_id!r} has other texts or gold labels than {candidates[0].run_id!r}.")
        frames.append(frame)
    return frames


def _suspects(
    task: Task, frames: Sequence[pd.DataFrame], probabilities: pd.DataFrame | None
) -> tuple[list[Suspect], float | None]:
    about = frames[0]
    judging = [frames[place][f"predicted_{task}"] for place in _judging(task, frames)]
    known = [] if probabilities is None else [str(label) for label in probabilities.columns]
    labels = sorted({*about[f"gold_{task}"], *(label for column in judging for label in column), *known} - {UNKNOWN})
    gold = _codes(about[f"gold_{task}"], labels)
    places = np.arange(len(gold))
    votes = np.zeros((len(gold), len(labels) + 1), dtype=np.int64)
    for column in judging:
        votes[places, _codes(column, labels)] += 1
    votes[:, len(labels)] = 0  # Unknown suggests nothing
    votes[places, gold] = 0
    agreed = votes.max(axis=1) >= max(2, len(judging) // 2 + 1)
    suggested = np.where(agreed, votes.argmax(axis=1), NONE)
    confident = np.full(len(gold), NONE)
    estimate, table = None, None
    if probabilities is not None and len(probabilities):
        table = probabilities.reindex(index=about.index, columns=labels).to_numpy()
        covered = ~np.isnan(table).all(axis=1)
        table = np.nan_to_num(table)
        found = confident_errors(table[covered], gold[covered])
        confident[covered], estimate = found.suggested, found.estimated_errors
        suggested = np.where(agreed, suggested, confident)
    suspects = [
        Suspect(
            id=str(about.index[place]),
            title=str(about["title"].iloc[place]),
            task=task,
            gold=labels[gold[place]],
            suggested=labels[suggested[place]],
            votes=int(votes[place, suggested[place]]),
            candidates=len(judging),
            confidence=None if table is None else float(table[place, suggested[place]]),
            reasons=_reasons(bool(agreed[place]), bool(confident[place] == suggested[place])),
        )
        for place in np.flatnonzero(suggested != NONE).tolist()
    ]
    return suspects, estimate


def _ranking(
    task: Task, candidates: Sequence[Candidate], frames: Sequence[pd.DataFrame], taken_out: Booleans
) -> tuple[Rank, ...]:
    judging = _judging(task, frames)
    right = np.array(
        [(frames[place][f"predicted_{task}"] == frames[place][f"gold_{task}"]).to_numpy() for place in judging]
    )
    left = ~taken_out
    ranks = rankdata(-right.sum(axis=1), method="min")
    ranks_without = rankdata(-right[:, left].sum(axis=1), method="min")
    found = [
        Rank(
            run_id=candidates[place].run_id,
            name=candidates[place].name,
            accuracy=float(right[row].mean()),
            accuracy_without=float(right[row, left].mean()) if left.any() else None,
            rank=int(ranks[row]),
            rank_without=int(ranks_without[row]) if left.any() else None,
        )
        for row, place in enumerate(judging)
    ]
    return tuple(sorted(found, key=lambda one: (one.rank, one.name)))


def _judging(task: Task, frames: Sequence[pd.DataFrame]) -> list[int]:
    """Places of the candidates that judge a task."""
    return [place for place, frame in enumerate(frames) if (frame[f"predicted_{task}"] != "").all()]


def _codes(column: "pd.Series[str]", labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Places in `labels`; one past the last for anything else."""
    found = pd.Index(labels).get_indexer(pd.Index(column))
    return np.where(found < 0, len(labels), found)


def _reasons(agreed: bool, confident: bool) -> tuple[Reason, ...]:
    reasons: list[Reason] = ["candidates agree"] if agreed else []
    return (*reasons, "confident learning") if confident else tuple(reasons)


def _strength(suspect: Suspect) -> tuple[float, float, float, str]:
    share = suspect.votes / max(suspect.candidates, 1)
    return -len(suspect.reasons), -share, -(suspect.confidence or 0.0), suspect.id
