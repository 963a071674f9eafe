"""Evaluations that MLflow was away for: kept on disk, and logged when it is back."""

import logging
import shutil
from itertools import chain, count
from pathlib import Path

import mlflow
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config import AgentConfig
from agent.errors import DataError, EvaluationError
from agent.fingerprint import code_hash
from agent.redaction import redact
from eval.evaluation import EVALUATION_FILE, EvaluationRecord
from eval.logged_model import log_agent
from eval.prompts import register_prompt
from eval.results import write_record
from eval.stopping import uninterrupted
from eval.store import open_store
from eval.tags import COMPLETE, COMPLETE_TAG, PARTIAL
from eval.tracking import experiment_name, log_params, tracked_run

KEPT_FOLDER = Path("reports")
KEPT_FILE = "kept.json"
"""Beside the files of an evaluation that could not be logged: what logging it needs."""


class Kept(BaseModel):
    """What logging an evaluation later needs besides its files."""

    model_config = ConfigDict(frozen=True)

    agent: AgentConfig
    tags: dict[str, str]
    """Of one's own."""


def keep_results(folder: Path, record: EvaluationRecord, kept: Kept, problem: str) -> EvaluationRecord:
    """Keep the files of an evaluation that could not be logged, and say how to log them later.

    Args:
        folder: Where the files are now.
        record: The evaluation.
        kept: The candidate and the tags.
        problem: Why it could not be logged.

    Raises:
        EvaluationError: they cannot be written either.
    """
    place = free_place(KEPT_FOLDER / record.run_name)
    logged = record.model_uri if record.model_uri and record.model_uri.startswith("models:/") else None
    unlogged = record.model_copy(update={"run_id": None, "model_uri": logged})
    try:
        write_record(folder, unlogged)
        (folder / KEPT_FILE).write_text(kept.model_dump_json(indent=2), encoding="utf-8")
        shutil.copytree(folder, place)
    except OSError as err:
        raise EvaluationError(
            f"Neither MLflow ({problem}) nor {place} takes the results: {err}. Answers that were paid for are in the "
            "journal; the same command again asks nothing twice."
        ) from err
    logging.getLogger(__name__).warning(
        "MLflow did not take the results (%s). They are in %s, and nothing is registered. "
        "When it is back: news-classifier eval upload %s",
        redact(problem),
        place,
        place,
    )
    return unlogged


def free_place(wanted: Path) -> Path:
    """A folder that is not there yet: the one that is wanted, or one beside it."""
    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in count(2))
    return next(place for place in chain([wanted], numbered) if not place.exists())


def upload(folder: Path) -> EvaluationRecord:
    """Log an evaluation that was kept on disk: figures, files and the model, in a run of its own.

    Args:
        folder: As the warning named it. It stays, with the run in its `evaluation.json`.

    Raises:
        DataError: the folder holds no such evaluation, it was uploaded already, or the code has changed since.
        StoreError: MLflow still cannot be reached.
    """
    record, kept = read_kept(folder)
    if record.run_id:
        raise DataError(f"{folder} was uploaded already, as run {record.run_id}.")
    if record.model_uri is None and code_hash() != record.candidate.code_hash:
        raise DataError(
            f"{folder} was evaluated with other code ({record.candidate.code_hash[:12]}) than stands here "
            f"({code_hash()[:12]}). Check out commit {record.git_commit}, or evaluate again."
        )
    open_store()
    with tracked_run(experiment_name(kept.agent.track), record.run_name, join=True) as run, uninterrupted():
        config = register_prompt(kept.agent)
        candidate = record.candidate
        log_params(
            {
                "agent": record.agent,
                "dataset_digest": record.dataset.digest,
                "articles": record.dataset.rows,
                **candidate.model_dump(),
            }
        )
        own = {"track": candidate.track, "provider": candidate.provider, "model": candidate.model}
        mlflow.set_tags({**kept.tags, **own, **({"git_commit": record.git_commit} if record.git_commit else {})})
        uri = record.model_uri or log_agent(config).model_uri
        record = record.model_copy(update={"run_id": run.info.run_id, "model_uri": uri})
        mlflow.log_metrics(record.metrics)
        mlflow.log_artifacts(str(folder))
        mlflow.log_text(record.model_dump_json(indent=2), EVALUATION_FILE)
        mlflow.set_tag(COMPLETE_TAG, PARTIAL if record.partial else COMPLETE)
        write_record(folder, record)  # last, so that an upload that failed can be tried again
        if record.partial:
            mlflow.end_run("KILLED")
    return record


def read_kept(folder: Path) -> tuple[EvaluationRecord, Kept]:
    """The evaluation and the candidate in a folder. Raises DataError."""
    try:
        record = EvaluationRecord.model_validate_json((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
        kept = Kept.model_validate_json((folder / KEPT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as err:
        raise DataError(
            f"{folder} holds no evaluation that was kept: {err}. Give the folder that the warning named."
        ) from err
    return record, kept
