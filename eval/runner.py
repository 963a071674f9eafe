"""Runs one candidate over a labelled set and logs everything to one MLflow run."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import mlflow

from agent.config import AgentConfig
from agent.errors import EvaluationError, ProviderError
from agent.fingerprint import code_hash, config_hash
from agent.providers import Pace, create_provider
from agent.records import Classification
from agent.responses_agent import NewsClassifierAgent
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.files import write_files
from eval.labeled_set import LabeledSet
from eval.logged_model import log_agent
from eval.metrics import all_figures, answers, cost, flatten
from eval.outcomes import Answer, Prediction, task_outcomes
from eval.prompts import register_prompt
from eval.spool import Spool
from eval.tracking import (
    COMPLETE,
    COMPLETE_TAG,
    experiment_name,
    git_commit,
    log_dataset,
    log_mlflow_figures,
    log_params,
    run_name,
    tracked_run,
)

Progress = Callable[[int, int], None]
"""Called with the number of articles answered and the number of all."""
FOR_ALL = ("rejected", "unavailable")
"""Errors that most likely come to every further article."""
ENOUGH_REFUSALS = 5
"""So many of them in a row end a run that had answers; a single one can be about its article."""


def evaluate(
    config: AgentConfig,
    dataset: LabeledSet,
    *,
    tags: Mapping[str, str] | None = None,
    concurrency: int | None = None,
    join: bool = True,
    progress: Progress = lambda done, total: None,
) -> EvaluationRecord:
    """Classify every article of a labelled set; log predictions, figures, files and the model in one run.

    Args:
        config: The candidate.
        dataset: A labelled set, n >= 1.
        tags: Tags of one's own for the run.
        concurrency: Calls in flight at most; the candidate's setting unless given.
        join: Whether the run of `mlflow run` is continued rather than given a child.
        progress: Told how far the predictions are.

    Raises:
        ArtifactError: the trained model cannot be loaded; nothing is logged then.
        ConfigError: a key is missing; nothing is logged then.
        ProviderError: the key, endpoint or model is wrong, or nothing was answered; the run ends FAILED.
        EvaluationError: the model judges none of the tasks that the set has labels for; the run ends FAILED.
    """
    create_provider(config, config.artifact).open()
    name = run_name(config.track, config.model)
    started_at = datetime.now(UTC)
    with tracked_run(experiment_name(config.track), name, join=join) as run, Spool() as spool:
        config = register_prompt(config)
        log_what_runs(config, dataset, tags or {})
        model = log_agent(config)  # before anything is paid for that could then not be registered
        predictions = predict(config, dataset, concurrency, progress, spool.keep)
        outcomes = task_outcomes(dataset, predictions, config.labels)
        if not outcomes:
            raise EvaluationError(
                f"{config.name} judges none of {list(dataset.tasks)}, the labels of {dataset.path}. Train it for one."
            )
        metrics = flatten(all_figures(outcomes, predictions))
        mlflow.log_metrics(metrics)
        log_mlflow_figures(outcomes)
        record = EvaluationRecord(
            run_id=run.info.run_id,
            run_name=run.info.run_name,
            started_at=started_at,
            git_commit=git_commit(),
            model_uri=model.model_uri,
            agent=config.name,
            candidate=candidate_record(config, next(spool.read([0]))["model_hash"]),
            dataset=DatasetRecord(path=str(dataset.path), rows=len(dataset.rows), digest=dataset.digest),
            metrics=metrics,
            artifacts=[],
            fresh_calls=sum(prediction.answer.bill.fresh for prediction in predictions),
            cached_calls=sum(prediction.answer.bill.calls - prediction.answer.bill.fresh for prediction in predictions),
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_files(folder, outcomes, predictions, spool.read(range(len(predictions))))
            names = sorted([*(path.name for path in folder.iterdir()), EVALUATION_FILE])
            record = record.model_copy(update={"artifacts": names})
            (folder / EVALUATION_FILE).write_text(record.model_dump_json(indent=2), encoding="utf-8")
            mlflow.log_artifacts(scratch)
        mlflow.set_tag(COMPLETE_TAG, COMPLETE)
    return record


def predict(
    config: AgentConfig,
    dataset: LabeledSet,
    concurrency: int | None,
    progress: Progress,
    keep: Callable[[int, Classification], None] = lambda row, record: None,
) -> list[Prediction]:
    """Ask about every article, each in a call of its own, so that latencies are those of real calls.

    Raises:
        ProviderError: what one answer says is wrong for all of them, or there is no answer at all.
    """
    articles = [row.article for row in dataset.rows]
    pace = Pace(concurrency or config.max_concurrency, patient=True, one_by_one=True)
    got: dict[int, Answer] = {}
    refused_in_a_row = 0
    try:
        for index, record in NewsClassifierAgent(config).classify(articles, pace):
            keep(index, record)
            answer = got[index] = Answer.of(record, config.labels)
            progress(len(got), len(articles))
            ended = answer.error is not None and answer.error.type in FOR_ALL
            refused_in_a_row = refused_in_a_row + 1 if ended else 0
            nothing_yet = all(known.error for known in got.values())
            if answer.error and ended and (nothing_yet or refused_in_a_row >= ENOUGH_REFUSALS):
                raise ProviderError(answer.error.message)
        if all(answer.error for answer in got.values()):
            first = got[0].error
            raise ProviderError(f"None of {len(got):,} articles was answered. The first: {first and first.message}")
    except BaseException:
        log_what_was_paid([Prediction(dataset.rows[index], answer) for index, answer in got.items()])
        raise
    return [Prediction(row, got[index]) for index, row in enumerate(dataset.rows)]


def log_what_was_paid(predictions: Sequence[Prediction]) -> None:
    """Log calls, tokens, cost and failures of a run that ends early, for what was answered of it."""
    if predictions:
        mlflow.log_metrics(flatten({**answers.measure(predictions), **cost.measure(predictions)}))


def candidate_record(config: AgentConfig, model_hash: str | None) -> CandidateRecord:
    """Which candidate answered, with the hashes that identify it."""
    return CandidateRecord(
        provider=config.provider,
        model=config.model,
        track=config.track,
        model_hash=model_hash,
        config_hash=config_hash(config),
        code_hash=code_hash(),
        prompt_hash=config.prompt.hash if config.prompt else None,
        prompt_version=config.prompt.version if config.prompt else None,
    )


def log_what_runs(config: AgentConfig, dataset: LabeledSet, tags: Mapping[str, str]) -> None:
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
            "code_hash": code_hash(),
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
