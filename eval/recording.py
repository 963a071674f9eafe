"""Puts an evaluation on record: an MLflow run with everything in it, and the same files on disk when MLflow is away.

Everything heavy (MLflow, pandas, scikit-learn, matplotlib) is imported here and below, so that the first questions are
asked before that.
"""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import mlflow

from agent.config import AgentConfig
from agent.fingerprint import config_hash
from eval.asking import Asking
from eval.columns import Predictions
from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet
from eval.logged_model import log_agent
from eval.memory import give_back_memory
from eval.metrics import answers, flatten
from eval.prompts import register_prompt
from eval.results import Measured, Origin, measure, paid, write_results
from eval.spool import Spool
from eval.stopping import uninterrupted
from eval.tags import COMPLETE, COMPLETE_TAG, PARTIAL, VERSION_TAG
from eval.targets import Target
from eval.tracker import Tracker, tracker_of
from eval.tracking import git_commit, log_dataset, log_mlflow_figures, log_params, run_name
from eval.uploads import Kept, keep_results


class Request(NamedTuple):
    """What was asked for, besides target and labelled set."""

    tags: Mapping[str, str]
    join: bool
    started_at: datetime


def put_on_record(
    target: Target, dataset: LabeledSet, asking: Asking, spool: Spool, request: Request
) -> EvaluationRecord:
    """Log what runs, wait for the answers, log what came of it.

    Raises:
        StoreError: the local store cannot be opened, or the experiment is deleted.
        ProviderError: what one answer says is wrong for all of them, or nothing was answered; the run ends FAILED.
        EvaluationError: the model judges none of the tasks that the set has labels for; the run ends FAILED.
    """
    config = target.config
    name = run_name(config.track, config.model)
    with tracker_of(config, name, join=request.join) as tracker, tempfile.TemporaryDirectory() as scratch:
        config = tracker.log(lambda: register_prompt(config)) or config
        version = {VERSION_TAG: target.model_uri} if target.model_uri else {}
        tracker.log(lambda: log_what_runs(config, target.code_hash, dataset, {**request.tags, **version}))
        model_uri = target.model_uri or tracker.log(lambda: log_agent(config).model_uri)
        with uninterrupted():
            mlflow.models.list_evaluators()  # type: ignore[no-untyped-call]  # imports them while answers are awaited
        measured = measure(config, dataset, answers_of(asking, tracker))
        tracker.log(lambda: log_figures(measured))
        partial = f"the budget was spent with {asking.unasked:,} articles to go" if asking.unasked else None
        origin = Origin(tracker.run_id, name, model_uri, target.code_hash, request.started_at, partial)
        record = write_results(Path(scratch), measured, spool, origin)
        tracker.log(lambda: log_results(Path(scratch), record))
        if tracker.problem:
            record = keep_results(Path(scratch), record, Kept(agent=config, tags=dict(request.tags)), tracker.problem)
    return record


def answers_of(asking: Asking, tracker: Tracker) -> list[Predictions]:
    """The answers; when they end early, what they cost is logged before the error goes on."""
    try:
        return asking.wait()
    except BaseException:
        asking.stop()  # nothing more is paid for while the rest is logged
        got = [prediction for once in asking.predictions() for prediction in once]
        if got:
            tracker.log(lambda: mlflow.log_metrics(flatten({**answers.measure(got), **paid(got)})))
        raise


def log_figures(measured: Measured) -> None:
    """Log all figures, and those of MLflow's own evaluation."""
    mlflow.log_metrics(measured.metrics)
    give_back_memory()
    log_mlflow_figures(measured.outcomes)


def log_results(folder: Path, record: EvaluationRecord) -> None:
    """Log the files, and that the evaluation has come to its end; a partial one ends KILLED."""
    mlflow.log_artifacts(str(folder))
    mlflow.set_tag(COMPLETE_TAG, PARTIAL if record.partial else COMPLETE)
    if record.partial:
        mlflow.end_run("KILLED")


def log_what_runs(config: AgentConfig, code_hash: str, dataset: LabeledSet, tags: Mapping[str, str]) -> None:
    """Log parameters, tags and the dataset, before anything is asked."""
    prompt = config.prompt
    log_params(
        {
            "agent": config.name,
            "provider": config.provider,
            "model": config.model,
            "track": config.track,
            "tier": config.tier,
            "articles": len(dataset.rows),
            "dataset_path": str(dataset.path),
            "dataset_digest": dataset.digest,
            "config_hash": config_hash(config),
            "code_hash": code_hash,
            "prompt_name": prompt.name if prompt else None,
            "prompt_version": prompt.version if prompt else None,
            "prompt_hash": prompt.hash if prompt else None,
            "answer_format": config.answer_format if prompt else None,
            "max_output_tokens": config.max_output_tokens if prompt else None,
            "price_as_of": str(config.price.as_of) if config.price else None,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **{f"params.{name}": value for name, value in config.params.items()},
        }
    )
    commit = git_commit()
    mlflow.set_tags(
        {
            **tags,
            "track": config.track,
            "provider": config.provider,
            "model": config.model,
            **({"git_commit": commit} if commit else {}),
            **({"prompt_hash": prompt.hash} if prompt else {}),
        }
    )
    log_dataset(dataset, context="evaluation")
