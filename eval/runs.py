"""Evaluations that were logged earlier, read back: their records, and what was predicted for which article."""

from typing import get_args

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import ValidationError

from agent.config import Track
from agent.errors import DataError
from eval.evaluation import EVALUATION_FILE, LoggedEvaluation
from eval.tags import COMPLETE, COMPLETE_TAG, PARTIAL
from eval.tracking import experiment_name

PREDICTIONS_FILE = "predictions.csv"
PREDICTION_COLUMNS = (
    *("article_hash", "story_id", "gold_category", "predicted_category", "gold_sentiment", "predicted_sentiment"),
)
"""What pairs are made of."""
ADVICE = "Give the id that 'news-classifier eval run' printed"


def load_evaluation(run_id: str) -> LoggedEvaluation:
    """The evaluation that a run logged, whole or partial.

    Raises:
        DataError: there is no such run, or it is no evaluation that came to its end.
    """
    try:
        run = mlflow.get_run(run_id)
        if run.data.tags.get(COMPLETE_TAG) not in (COMPLETE, PARTIAL):
            raise DataError(f"Run {run_id!r} is no complete evaluation. Evaluate again: news-classifier eval run.")
        found = LoggedEvaluation.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{EVALUATION_FILE}"))
    except MlflowException as err:
        raise DataError(f"Run {run_id!r} cannot be read: {err}. {ADVICE}.") from err
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
        newest = newest_runs(1)
        if not newest:
            raise DataError("There is no complete evaluation yet. Evaluate first: news-classifier eval run.")
        run_id = newest[0]
    found = load_evaluation(run_id)
    if found.partial:
        raise DataError(
            f"Run {run_id!r} is partial: {found.partial}. Go on with it: the same command again asks what is left."
        )
    return found


def newest_runs(limit: int, agent: str | None = None, *, partial: bool = False) -> list[str]:
    """Ids of the newest evaluations of all tracks, newest first.

    Args:
        limit: How many at most.
        agent: Only those of the candidate of this name.
        partial: Whether partial ones count.
    """
    names = list(dict.fromkeys(experiment_name(track) for track in get_args(Track)))
    wanted = [f"tags.{COMPLETE_TAG} LIKE '%'" if partial else f"tags.{COMPLETE_TAG} = '{COMPLETE}'"]
    if agent is not None:
        wanted.append(f"params.agent = {quoted(agent)}")
    runs = mlflow.search_runs(
        experiment_names=names,
        filter_string=" AND ".join(wanted),
        order_by=["start_time DESC"],
        max_results=limit,
        output_format="list",
    )
    return [run.info.run_id for run in runs]


def load_predictions(run_id: str) -> pd.DataFrame:
    """What a run predicted: the columns of `predictions.csv` as text, a row for each article, indexed by `id`.

    Raises:
        DataError: the run has no predictions, or they cannot be read.
    """
    try:
        path = MlflowClient().download_artifacts(run_id, PREDICTIONS_FILE)
        found = pd.read_csv(path, dtype=str, keep_default_na=False, index_col="id")
        if not found.index.is_unique:
            raise ValueError("an id stands in two rows")
        if missing := [name for name in PREDICTION_COLUMNS if name not in found]:
            raise ValueError(f"it has no column {', '.join(missing)}")
        return found
    except (MlflowException, OSError, ValueError) as err:
        raise DataError(f"Run {run_id!r} has no {PREDICTIONS_FILE} that can be read: {err}. Evaluate again.") from err


def quoted(text: str) -> str:
    """A value as MLflow's search language writes it. Raises DataError for one that it cannot say."""
    if "'" in text or "\\" in text:
        raise DataError(f"{text!r} is no name of a candidate; it holds a quotation mark or a backslash. Correct it.")
    return f"'{text}'"
