"""Candidate and champion on the same rows: measured again where they were not, and compared."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import mlflow
import pandas as pd
from mlflow.tracking import MlflowClient

from agent.errors import DataError, RegistryError
from eval.evaluation import EvaluationRecord, LoggedEvaluation
from eval.lifecycle import read_lifecycle
from eval.runs import PREDICTIONS_FILE, file_uri, flip_figures, load_evaluation, load_predictions, remeasured_runs
from eval.statistics.comparison import Comparison, adjusted_among, compare
from eval.statistics.pairs import common_rows, paired_outcomes
from registry.evidence import Evidence, Measurement
from registry.gates.config import GatesConfig
from registry.gates.table import judge
from registry.gates.verdict import Case, Verdict
from registry.history import History, Trial
from registry.refusals import explained
from registry.versions import Version, version_uri

ADDED_BY_MLFLOW = ("registered_model_meta", "__pycache__")
"""Files that come and go with loading a model."""

Remeasure = Callable[[str, EvaluationRecord], EvaluationRecord]
"""Evaluates the version of a URI on the rows of an evaluation."""


class Rival(NamedTuple):
    """A version that a candidate is compared with, measured on the candidate's rows."""

    version: Version
    evaluation: LoggedEvaluation


def on_the_same_rows(
    model_name: str, version: Version, evaluation: EvaluationRecord, remeasure: Remeasure
) -> LoggedEvaluation:
    """The evaluation of a version on the rows of another: its own, an earlier one, or a new one in its own process.

    Raises:
        DataError: the rows are not there any more, or the version does not know their labels.
        RegistryError: it could not be measured.
    """
    uri = version_uri(model_name, version.number)
    digest = evaluation.dataset.digest
    with explained(f"read what is known of version {version.number}"):
        for run_id in measuring_runs(version, uri, digest):
            try:
                found = load_evaluation(run_id)
            except DataError:  # deleted since; it is measured again
                continue
            if found.dataset.digest == digest and not found.partial:
                return found
    again = remeasure(uri, evaluation)
    if again.partial or again.dataset.digest != digest:
        raise RegistryError(
            f"Version {version.number} could not be measured on the rows of {evaluation.run_name!r}: "
            f"{again.partial or 'the labelled set has changed since'}. Nothing is decided."
        )
    return LoggedEvaluation.model_validate(again.model_dump())


def measuring_runs(version: Version, uri: str, digest: str) -> Iterator[str]:
    """The runs that may hold figures of a version on a labelled set; others are looked for if its own does not do."""
    if version.run_id:
        yield version.run_id
    yield from remeasured_runs(uri, digest)


def gather(
    model_name: str,
    evaluation: LoggedEvaluation,
    champion: Rival | None,
    history: History,
    rules: GatesConfig,
    gates: Sequence[Verdict],
    *,
    version: str | None = None,
) -> Evidence:
    """All evidence on a candidate, from what is stored; the same stores give the same evidence.

    Args:
        model_name: Name of the registered model.
        evaluation: Of the candidate.
        champion: Measured on the same rows; None where there is none.
        history: Tells how many candidates were compared with this champion on these rows.
        rules: The gates.
        gates: What they say.
        version: Number of the candidate's version, once it has one.

    Raises:
        DataError: predictions cannot be read.
        RegistryError: a logged model cannot be read.
    """
    compared: Sequence[Comparison] = []
    tried, changed = 1, None
    if champion:
        with explained("read the predictions of champion and candidate"):
            theirs, ours = load_predictions(champion.evaluation.run_id), load_predictions(evaluation.run_id)
        compared = same_rows_compared(theirs, ours, evaluation)
        others = history.trials(champion.version.number, evaluation.dataset.digest)
        others.pop(evaluation.candidate.hash, None)
        tried += len(others)
        compared = [
            adjusted_among(one, [trial.p_values[one.task] for trial in others.values() if one.task in trial.p_values])
            for one in compared
        ]
        both = common_rows(theirs, ours)
        changed = int((both["predicted_category_a"] != both["predicted_category_b"]).sum())
    return Evidence(
        model_name=model_name,
        candidate=measurement(model_name, evaluation, version),
        champion=measurement(model_name, champion.evaluation, champion.version.number) if champion else None,
        comparisons=tuple(compared),
        tried=tried,
        changed_labels=changed,
        gates=tuple(gates),
        rules=rules,
    )


def gates_of(evaluation: EvaluationRecord, rules: GatesConfig) -> tuple[Verdict, ...]:
    """What the gates say of a candidate alone; its label flips are those of its newest red-team run."""
    flips = flip_figures(evaluation.candidate) if rules.gates.label_flip_rate else {}
    case = Case(
        metrics={**evaluation.metrics, **flips},
        provider=evaluation.candidate.provider,
        model=evaluation.candidate.model,
        champion=None,
        comparisons={},
        lifecycle=read_lifecycle(),
        today=datetime.now(UTC).date(),
    )
    return judge(rules, case)


def case_of(evidence: Evidence) -> Case:
    """What the rules for challengers and for unattended promotions look at."""
    candidate, champion = evidence.candidate, evidence.champion
    return Case(
        metrics=candidate.metrics,
        provider=candidate.candidate.provider,
        model=candidate.candidate.model,
        champion=champion.metrics if champion else None,
        comparisons=evidence.by_task,
        lifecycle=None,
        today=datetime.now(UTC).date(),
    )


def trial_of(evidence: Evidence) -> Trial | None:
    """What the history counts: the comparison with the champion; None without one."""
    if evidence.champion is None or evidence.champion.version is None:
        return None
    return Trial(
        champion=evidence.champion.version,
        dataset_digest=evidence.candidate.dataset.digest,
        candidate_hash=evidence.candidate.candidate.hash,
        p_values={one.task: one.p_value for one in evidence.comparisons},
    )


def same_rows_compared(
    champion: pd.DataFrame, candidate: pd.DataFrame, evaluation: EvaluationRecord
) -> list[Comparison]:
    """The comparison of every task. Raises RegistryError unless both answered each of the rows."""
    both = len(common_rows(champion, candidate))
    if not both == len(champion) == len(candidate) == evaluation.dataset.rows:
        raise RegistryError(
            f"Champion and candidate have {both:,} of {evaluation.dataset.rows:,} articles in common, though their "
            "sets have one digest. Their predictions were changed; evaluate again."
        )
    return [compare(*pair) for pair in paired_outcomes(champion, candidate)]


def measurement(model_name: str, evaluation: LoggedEvaluation, version: str | None) -> Measurement:
    """An evaluation as evidence, with the hashes of its files as they are now; of a version, those that it serves."""
    client = MlflowClient()
    with explained(f"read the files of run {evaluation.run_id}"), tempfile.TemporaryDirectory() as scratch:
        predictions = mlflow.artifacts.download_artifacts(
            file_uri(evaluation.run_id, PREDICTIONS_FILE), dst_path=scratch
        )
        return Measurement(
            run_id=evaluation.run_id,
            model_uri=evaluation.model_uri,
            agent=evaluation.agent,
            version=version,
            candidate=evaluation.candidate,
            dataset=evaluation.dataset,
            metrics=evaluation.metrics,
            price_as_of=client.get_run(evaluation.run_id).data.params.get("price_as_of"),
            predictions_digest=hashlib.sha256(Path(predictions).read_bytes()).hexdigest(),
            model_digest=model_digest(version_uri(model_name, version) if version else evaluation.model_uri),
        )


def model_digest(uri: str) -> str:
    """sha256 over the files of a model or a version, as they are now. Raises RegistryError."""
    with explained(f"read the files of {uri}"), tempfile.TemporaryDirectory() as scratch:
        return folder_digest(Path(mlflow.artifacts.download_artifacts(uri, dst_path=scratch)))


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of a model's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if not {*name.parts} & {*ADDED_BY_MLFLOW}:
            digest.update(f"{name.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
