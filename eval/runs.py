"""Evaluations that were logged earlier, read back: their records, and what was predicted for which article."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Self, get_args

import mlflow
import pandas as pd
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from pydantic import ValidationError

from agent.config import Track
from agent.errors import DataError, StoreError
from eval.evaluation import EVALUATION_FILE, CandidateRecord, LoggedEvaluation
from eval.tags import COMPLETE, COMPLETE_TAG, MODEL_HASH_TAG, PARTIAL, REDTEAM, VERSION_TAG
from eval.tracking import experiment_name

PREDICTIONS_FILE = "predictions.csv"
PREDICTION_COLUMNS = (
    *("article_hash", "story_id", "gold_category", "predicted_category", "gold_sentiment", "predicted_sentiment"),
)
"""What pairs are made of."""
PAGE = 50
ADVICE = "Give the id that 'news-classifier eval run' printed"


class LoggedRun(NamedTuple):
    """An evaluation as MLflow lists it, without its files."""

    run_id: str
    agent: str
    """Name of the candidate."""
    digest: str
    """Of the labelled set."""
    rows: int
    """Articles of the labelled set."""
    started_at: datetime
    tags: Mapping[str, str]
    """With track, provider and model, and those of one's own."""

    @property
    def is_whole(self) -> bool:
        """Whether every article was asked about."""
        return self.tags.get(COMPLETE_TAG) == COMPLETE

    @classmethod
    def of(cls, run: Run) -> Self:
        """What MLflow says of a run."""
        agent, digest, rows = (_param(run, name) for name in ("agent", "dataset_digest", "articles"))
        started_at = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        return cls(run.info.run_id, agent, digest, int(rows) if rows.isdecimal() else 0, started_at, run.data.tags)


def load_evaluation(run_id: str) -> LoggedEvaluation:
    """The evaluation that a run logged, whole or partial.

    Raises:
        DataError: there is no such run, or it is no evaluation that came to its end.
        StoreError: the store cannot say.
    """
    with _reading(run_id, EVALUATION_FILE):
        run = mlflow.get_run(run_id)
        if run.data.tags.get(COMPLETE_TAG) not in (COMPLETE, PARTIAL):
            raise DataError(f"Run {run_id!r} is no complete evaluation. Evaluate again: news-classifier eval run.")
        text = mlflow.artifacts.load_text(file_uri(run_id, EVALUATION_FILE))
    try:
        found = LoggedEvaluation.model_validate_json(text)
    except ValidationError as err:
        raise DataError(f"Run {run_id!r} holds an {EVALUATION_FILE} of another version. Evaluate again.") from err
    if found.run_id != run_id:
        raise DataError(f"Run {run_id!r} holds the evaluation of run {found.run_id!r}. Evaluate again.")
    return found


def whole_evaluation(run_id: str | None = None) -> LoggedEvaluation:
    """The evaluation that a run logged; without a run, the newest of all tracks. Only a whole one can be decided on.

    Raises:
        DataError: there is none, or it is partial.
    """
    if run_id is None:
        newest = next((run for run in logged_runs() if run.is_whole), None)
        if newest is None:
            raise DataError("There is no complete evaluation yet. Evaluate first: news-classifier eval run.")
        run_id = newest.run_id
    found = load_evaluation(run_id)
    if found.partial:
        raise DataError(
            f"Run {run_id!r} is partial: {found.partial}. Go on with it: the same command again asks what is left."
        )
    return found


def logged_runs() -> Iterator[LoggedRun]:
    """All evaluations of all tracks, whole and partial, newest first."""
    client = MlflowClient()
    experiments = _experiments(client)
    token: str | None = None
    while experiments:
        page = client.search_runs(
            experiments,
            f"tags.{COMPLETE_TAG} LIKE '%'",
            max_results=PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        yield from map(LoggedRun.of, page)
        token = page.token
        if not token:
            return


def remeasured_runs(version_uri: str, digest: str) -> list[str]:
    """Ids of the whole evaluations of a registered version on a labelled set, newest first; usually none or one."""
    client = MlflowClient()
    found = client.search_runs(
        _experiments(client),
        f"tags.{COMPLETE_TAG} = '{COMPLETE}' and tags.{VERSION_TAG} = '{version_uri}' "
        f"and params.dataset_digest = '{digest}'",
        max_results=PAGE,
        order_by=["attributes.start_time DESC"],
    )
    return [run.info.run_id for run in found]


def candidates_measured_on(digest: str) -> int:
    """How many different candidates, by configuration and code, were wholly evaluated on a labelled set."""
    client, seen, token = MlflowClient(), set(), None
    while True:
        page = client.search_runs(
            _experiments(client),
            f"tags.{COMPLETE_TAG} = '{COMPLETE}' and params.dataset_digest = '{digest}'",
            max_results=1000,
            page_token=token,
        )
        seen |= {tuple(_param(run, name) for name in ("model", "config_hash", "code_hash")) for run in page}
        token = page.token
        if not token:
            return len(seen)


def flip_figures(candidate: CandidateRecord) -> dict[str, float]:
    """The label flip rate of a candidate's newest red-team run, with how many it compared; empty without one."""
    client = MlflowClient()
    same = f"params.config_hash = '{candidate.config_hash}' and params.code_hash = '{candidate.code_hash}'"
    model = f" and tags.{MODEL_HASH_TAG} = '{candidate.model_hash}'" if candidate.model_hash else ""
    found = client.search_runs(
        _experiments(client),
        f"tags.kind = '{REDTEAM}' and attributes.status = 'FINISHED' and {same}{model}",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    figures = found[0].data.metrics if found else {}
    return {name: value for name, value in figures.items() if name.startswith("label_flip_rate") or name == "compared"}


def load_predictions(run_id: str) -> pd.DataFrame:
    """What a run predicted: the columns of `predictions.csv` as text, a row for each article, indexed by `id`.

    Raises:
        DataError: the run has no predictions, or they cannot be read.
        StoreError: the store cannot say.
    """
    with _reading(run_id, PREDICTIONS_FILE):
        path = mlflow.artifacts.download_artifacts(file_uri(run_id, PREDICTIONS_FILE))
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False, index_col="id")
        if not found.index.is_unique:
            raise ValueError("an id stands in two rows")
        if missing := [name for name in PREDICTION_COLUMNS if name not in found]:
            raise ValueError(f"it has no column {', '.join(missing)}")
        return found
    except (OSError, ValueError) as err:
        raise DataError(f"Run {run_id!r} has no {PREDICTIONS_FILE} that can be read: {err}. Evaluate again.") from err


def file_uri(run_id: str, name: str) -> str:
    """Where a file of a run lies; of a `runs:/` address, MLflow asks its store five times a file."""
    return f"{_folder_uri(run_id)}/{name}"


def _param(run: Run, name: str) -> str:
    """A parameter of a run; where `mlflow run` had taken its name, its other name counts. Empty without one."""
    params: dict[str, str] = run.data.params
    return params.get(f"resolved.{name}") or params.get(name, "")


@lru_cache
def _folder_uri(run_id: str) -> str:
    return str(mlflow.get_run(run_id).info.artifact_uri)


@contextmanager
def _reading(run_id: str, file: str) -> Iterator[None]:
    """DataError where the store says that there is no such run or file, StoreError where it cannot say."""
    try:
        yield
    except DataError:
        raise
    except Exception as err:
        if _is_missing(run_id, file):
            raise DataError(f"Run {run_id!r} cannot be read, or has no {file}: {err}. {ADVICE}.") from err
        raise StoreError(
            f"The store cannot say what {file} of run {run_id!r} holds: {err}. Check MLFLOW_TRACKING_URI; try again."
        ) from err


def _is_missing(run_id: str, file: str) -> bool:
    try:
        return file not in [one.path for one in MlflowClient().list_artifacts(run_id)]
    except MlflowException as err:
        return err.error_code in (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE))
    except Exception:
        return False


def _experiments(client: MlflowClient) -> list[str]:
    """Ids of the experiments of all tracks."""
    names = dict.fromkeys(experiment_name(track) for track in get_args(Track))
    found = [client.get_experiment_by_name(name) for name in names]
    return [one.experiment_id for one in found if one and one.lifecycle_stage == LifecycleStage.ACTIVE]
