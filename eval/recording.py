"""Puts an evaluation on record: an MLflow run with everything in it, and the same files on disk when MLflow is away.

Everything heavy (MLflow, pandas, scikit-learn, matplotlib) is imported here and below, so that the first questions are
asked before that.
"""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import mlflow
import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from agent.config import AgentConfig
from agent.errors import EvaluationError, StoreError
from agent.fingerprint import config_hash
from agent.redaction import redact
from eval.asking import Asking
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.files import write_files
from eval.labeled_set import LabeledSet
from eval.logged_model import log_agent
from eval.metrics import all_figures, answers, cost, flatten, tokens
from eval.metrics.figure import Figure
from eval.outcomes import Prediction, task_outcomes
from eval.prompts import register_prompt
from eval.repeats import repeat_figures
from eval.spool import Spool
from eval.store import open_store, sqlite_path
from eval.tags import COMPLETE, COMPLETE_TAG, PARTIAL
from eval.targets import Target
from eval.tracking import (
    experiment_name,
    git_commit,
    log_dataset,
    log_mlflow_figures,
    log_params,
    run_name,
    tracked_run,
)

Result = TypeVar("Result")
AWAY = (MlflowException, StoreError, SQLAlchemyError, requests.RequestException, OSError)
"""What MLflow's stores raise when they cannot be reached any more, or cannot write."""
KEPT_FOLDER = Path("reports")
CONFIG_FILE = "agent.json"
"""Beside the files of an evaluation that could not be logged: the candidate, for logging it later."""


class Request(NamedTuple):
    """What was asked for, besides target and labelled set."""

    tags: Mapping[str, str]
    join: bool
    repeats: int
    started_at: datetime


class Tracker:
    """Logs to MLflow as long as it answers. What could not be logged stays on disk.

    Args:
        run_id: Of the run; None when MLflow could not be reached.
        problem: Why not.
    """

    def __init__(self, run_id: str | None, problem: str | None = None) -> None:
        self.run_id = run_id
        self.problem = problem

    def log(self, step: Callable[[], Result]) -> Result | None:
        """Do one step, unless MLflow is away; None then."""
        if self.problem:
            return None
        try:
            return step()
        except AWAY as err:
            self.problem = " ".join(str(err).split())
            return None


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
    with tracker_of(config, name, join=request.join) as tracker:
        config = tracker.log(lambda: register_prompt(config)) or config
        tracker.log(lambda: log_what_runs(config, target.code_hash, dataset, request.tags))
        model_uri = target.model_uri or tracker.log(lambda: log_agent(config).model_uri)
        asking.check()
        try:
            passes = asking.wait()
        finally:
            asking.stop()  # nothing more is paid for while the rest is logged
            stopped = asking.predictions()[0]
            if stopped and len(stopped) < len(dataset.rows):
                tracker.log(lambda: log_what_was_paid(stopped))
        partial = None
        if asking.unasked:
            partial = f"the budget was spent with {asking.unasked:,} articles to go"
        outcomes = task_outcomes(dataset, passes[0], config.labels)
        if not outcomes:
            raise EvaluationError(
                f"{config.name} judges none of {list(dataset.tasks)}, the labels of {dataset.path}. Train it for one."
            )
        everything = [prediction for once in passes for prediction in once]
        metrics = flatten(
            {**all_figures(outcomes, passes[0]), **paid(everything), **stability(passes, len(dataset.rows))}
        )
        bills = [prediction.answer.bill for prediction in everything]
        version = config.prompt.version if config.prompt else None
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            records = (record | {"prompt_version": version} for record in spool.read(sorted(spool)))
            write_files(folder, outcomes, passes[0], records)
            record = EvaluationRecord(
                run_id=tracker.run_id,
                run_name=name,
                model_uri=model_uri,
                agent=config.name,
                candidate=candidate_record(config, target.code_hash, spool.first("model_hash")),
                dataset=DatasetRecord(path=str(dataset.path), rows=len(dataset.rows), digest=dataset.digest),
                started_at=request.started_at,
                git_commit=git_commit(),
                metrics=metrics,
                artifacts=sorted([*(path.name for path in folder.iterdir()), EVALUATION_FILE]),
                fresh_calls=sum(bill.fresh for bill in bills),
                cached_calls=sum(bill.calls - bill.fresh for bill in bills),
                repeats=request.repeats,
                partial=partial,
            )
            tracker.log(lambda: mlflow.log_metrics(metrics))
            tracker.log(lambda: log_mlflow_figures(outcomes))
            tracker.log(lambda: log_results(folder, record))
            if tracker.problem:
                record = record.model_copy(update={"run_id": None, "model_uri": target.model_uri})
                keep_results(folder, record, config, tracker.problem)
    return record


@contextmanager
def tracker_of(config: AgentConfig, name: str, *, join: bool) -> Iterator[Tracker]:
    """A run that ends FAILED when the body raises; without a run when MLflow is away.

    Raises:
        StoreError: a local store cannot be opened or made, which is a mistake of the caller.
    """
    with ExitStack() as ended:
        try:
            open_store()
            run = ended.enter_context(tracked_run(experiment_name(config.track), name, join=join))
        except AWAY as err:
            if sqlite_path(str(mlflow.get_tracking_uri())):
                raise
            yield Tracker(None, " ".join(str(err).split()))
            return
        tracker = Tracker(run.info.run_id)
        try:
            yield tracker
        except BaseException:
            with suppress(*AWAY):  # what happened in the body is said, not that the run could not be ended
                ended.__exit__(*sys.exc_info())
            raise
        tracker.log(ended.close)
        with suppress(*AWAY):  # a run that cannot be reached cannot be ended either
            ended.close()


def log_results(folder: Path, record: EvaluationRecord) -> None:
    """Log the files of an evaluation and say that it has come to its end; a partial one ends KILLED."""
    (folder / EVALUATION_FILE).write_text(record.model_dump_json(indent=2), encoding="utf-8")
    mlflow.log_artifacts(str(folder))
    mlflow.set_tag(COMPLETE_TAG, PARTIAL if record.partial else COMPLETE)
    if record.partial:
        mlflow.end_run("KILLED")


def keep_results(folder: Path, record: EvaluationRecord, config: AgentConfig, problem: str) -> None:
    """Keep the files of an evaluation that could not be logged, and say how to log them later.

    Raises:
        EvaluationError: they cannot be written either.
    """
    place = KEPT_FOLDER / record.run_name
    try:
        (folder / EVALUATION_FILE).write_text(record.model_dump_json(indent=2), encoding="utf-8")
        (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2), encoding="utf-8")
        shutil.copytree(folder, place)
    except OSError as err:
        raise EvaluationError(
            f"Neither MLflow ({problem}) nor {place} takes the results: {err}. Answers that were paid for are in the "
            "journal; the same command again asks nothing twice."
        ) from err
    logging.getLogger(__name__).warning(
        "MLflow could not be reached (%s). The results are in %s and not registered. "
        "When it is back: news-classifier eval upload %s",
        redact(problem),
        place,
        place,
    )


def log_what_was_paid(predictions: Sequence[Prediction]) -> None:
    """Log calls, tokens, cost and failures of a run that ends early, for what was answered of it."""
    mlflow.log_metrics(flatten({**answers.measure(predictions), **paid(predictions)}))


def stability(passes: Sequence[Sequence[Prediction]], articles: int) -> dict[str, Figure]:
    """How far the repeats agree; only those over the whole set are compared."""
    whole = [once for once in passes if len(once) == articles]
    return repeat_figures(whole) if len(whole) > 1 else {}


def paid(predictions: Sequence[Prediction]) -> dict[str, Figure]:
    """Calls, tokens and money of all calls, those of repeats included."""
    return {**tokens.measure(predictions), **cost.measure(predictions)}


def candidate_record(config: AgentConfig, code_hash: str, model_hash: str | None) -> CandidateRecord:
    """Which candidate answered, with the hashes that identify it."""
    return CandidateRecord(
        provider=config.provider,
        model=config.model,
        track=config.track,
        model_hash=model_hash,
        config_hash=config_hash(config),
        code_hash=code_hash,
        prompt_hash=config.prompt.hash if config.prompt else None,
        prompt_version=config.prompt.version if config.prompt else None,
    )


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
