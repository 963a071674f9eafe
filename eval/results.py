"""What an evaluation comes to: figures, record and files, in a folder of their own before anybody logs them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from agent.config import AgentConfig
from agent.errors import EvaluationError
from agent.fingerprint import config_hash
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.files import write_files, write_repeats
from eval.labeled_set import LabeledSet
from eval.metrics import all_figures, cost, flatten, tokens
from eval.metrics.figure import Figure
from eval.metrics.repeats import repeat_figures
from eval.outcomes import Prediction, TaskOutcome, task_outcomes
from eval.report import HTML_FILE, MARKDOWN_FILE, Report, write_report
from eval.spool import Spool
from eval.tracking import git_commit


class Measured(NamedTuple):
    """The answers to a labelled set with all figures."""

    config: AgentConfig
    dataset: LabeledSet
    passes: Sequence[Sequence[Prediction]]
    """The predictions of each time; where money was short some are missing."""
    outcomes: Sequence[TaskOutcome]
    """Of the first time."""
    metrics: dict[str, float]


class Origin(NamedTuple):
    """Where an evaluation comes from, and what became of it."""

    run_id: str | None
    run_name: str
    model_uri: str | None
    code_hash: str
    started_at: datetime
    partial: str | None


def measure(config: AgentConfig, dataset: LabeledSet, passes: Sequence[Sequence[Prediction]]) -> Measured:
    """All figures. Quality is that of the first time; tokens and money are of every call, latencies of the first time.

    Raises:
        EvaluationError: the model judges none of the tasks that the set has labels for.
    """
    outcomes = task_outcomes(dataset, passes[0], config.labels)
    if not outcomes:
        raise EvaluationError(
            f"{config.name} judges none of {list(dataset.tasks)}, the labels of {dataset.path}. Train it for one."
        )
    everything = passes[0] if len(passes) == 1 else [one for once in passes for one in once]
    figures = {**all_figures(outcomes, passes[0]), **paid(everything)}
    whole = [once for once in passes if len(once) == len(dataset.rows)]
    if len(whole) > 1:
        figures |= repeat_figures(whole)
    return Measured(config, dataset, passes, outcomes, flatten(figures))


def paid(predictions: Sequence[Prediction]) -> dict[str, Figure]:
    """Calls, tokens and money."""
    return {**tokens.measure(predictions), **cost.measure(predictions)}


def write_results(folder: Path, measured: Measured, spool: Spool, origin: Origin) -> EvaluationRecord:
    """Write every file of an evaluation into an empty folder.

    Args:
        folder: Where.
        measured: The figures and what they are from.
        spool: The whole answers of the first time.
        origin: Where it comes from.
    """
    config, passes = measured.config, measured.passes
    version = config.prompt.version if config.prompt else None  # registered while the answers came
    records = ({**answer, "prompt_version": version} for answer in spool.read(spool))
    write_files(folder, measured.outcomes, passes[0], records)
    if len(passes) > 1 and passes[1]:
        write_repeats(folder / "repeats.csv", passes)
    bills = [prediction.answer.bill for once in passes for prediction in once]
    record = EvaluationRecord(
        run_id=origin.run_id,
        run_name=origin.run_name,
        model_uri=origin.model_uri,
        agent=config.name,
        candidate=candidate_record(config, origin.code_hash, spool.first("model_hash")),
        dataset=DatasetRecord(
            path=str(measured.dataset.path), rows=len(measured.dataset.rows), digest=measured.dataset.digest
        ),
        started_at=origin.started_at,
        git_commit=git_commit(),
        metrics=measured.metrics,
        artifacts=sorted([*(path.name for path in folder.iterdir()), EVALUATION_FILE, HTML_FILE, MARKDOWN_FILE]),
        fresh_calls=sum(bill.fresh for bill in bills),
        cached_calls=sum(bill.calls - bill.fresh for bill in bills),
        repeats=sum(map(bool, passes)),
        partial=origin.partial,
    )
    write_report(folder, Report(record, measured.outcomes, passes[0], config))
    write_record(folder, record)
    return record


def write_record(folder: Path, record: EvaluationRecord) -> None:
    """Write `evaluation.json`."""
    (folder / EVALUATION_FILE).write_text(record.model_dump_json(indent=2), encoding="utf-8")


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
