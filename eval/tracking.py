"""MLflow runs: which experiment, which run, what is logged."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import git
import mlflow
import numpy as np
import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from agent.config import Track
from agent.errors import StoreError
from agent.labels import UNKNOWN
from eval.labeled_set import LabeledSet
from eval.outcomes import TaskOutcome
from eval.stopping import uninterrupted

RUN_ID_VARIABLE = "MLFLOW_RUN_ID"
DIGEST_CHARS = 32
"""MLflow allows 36 characters in a dataset's digest."""


def experiment_name(track: Track) -> str:
    """The experiment of a track: `MLFLOW_EXPERIMENT_NAME_<TRACK>` or `news-classifier-<track>`."""
    return os.environ.get(f"MLFLOW_EXPERIMENT_NAME_{track.upper()}") or f"news-classifier-{track}"


def experiment_id(name: str) -> str:
    """The id of an experiment, made if there is none. MLflow's notion of the active experiment is left alone.

    Raises:
        StoreError: the experiment was deleted, so nothing can be logged to it.
    """
    found = mlflow.get_experiment_by_name(name)
    if found is None:
        try:
            return str(mlflow.create_experiment(name))
        except MlflowException:  # somebody else made it meanwhile, or it really cannot be made
            found = mlflow.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise StoreError(
            f"The experiment {name!r} is deleted. Restore it: mlflow experiments restore -x {found.experiment_id}."
        )
    return str(found.experiment_id)


def run_name(track: Track, model: str) -> str:
    """`{track}_{model}_{UTC time}`."""
    return f"{track}_{model}_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


@contextmanager
def tracked_run(experiment: str, name: str, *, join: bool) -> Iterator[mlflow.ActiveRun]:
    """A run that ends FAILED when its body raises.

    Under `mlflow run` a run exists already. With `join` it is continued, in the experiment it was made in; without, the
    new run becomes its child there.

    Args:
        experiment: Name of the experiment outside `mlflow run`.
        name: Name of a new run.
        join: Whether to continue the run of `mlflow run`.
    """
    given = os.environ.pop(RUN_ID_VARIABLE, None)
    try:
        with ExitStack() as ended:
            with uninterrupted():
                if given and join:
                    started = mlflow.start_run(run_id=given)
                elif given:
                    parent = mlflow.get_run(given)
                    started = mlflow.start_run(
                        run_name=name, experiment_id=parent.info.experiment_id, tags={"mlflow.parentRunId": given}
                    )
                else:
                    started = mlflow.start_run(run_name=name, experiment_id=experiment_id(experiment))
                ended.push(uninterrupted()(started.__exit__))
            yield started
    finally:
        if given:
            os.environ[RUN_ID_VARIABLE] = given


def log_params(params: Mapping[str, object]) -> None:
    """Log parameters to the active run, as `resolved.NAME` where `mlflow run` logged another value under that name.

    What a project was started with, such as no model, is not always what runs, and a run's parameter cannot change.
    """
    active = mlflow.active_run()
    given = mlflow.get_run(active.info.run_id).data.params if active else {}
    clashes = {name for name, value in params.items() if name in given and given[name] != str(value)}
    mlflow.log_params({f"resolved.{name}" if name in clashes else name: value for name, value in params.items()})


def git_commit() -> str | None:
    """The commit that the working directory is at, with `-dirty` where it has changes; None outside a repository."""
    try:
        repository = git.Repo(search_parent_directories=True)
        return repository.head.commit.hexsha + ("-dirty" if repository.is_dirty() else "")
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return None


def log_dataset(dataset: LabeledSet, context: str) -> None:
    """Log a labelled set as the run's input, under the start of its digest; its texts are left out."""
    labels = {str(task): [row.gold[task] for row in dataset.rows] for task in dataset.tasks}
    frame = pd.DataFrame({"id": [row.id for row in dataset.rows]} | labels)
    source = from_pandas(frame, source=str(dataset.path), name=dataset.path.stem, digest=dataset.digest[:DIGEST_CHARS])
    mlflow.log_input(source, context=context)


def log_mlflow_figures(outcomes: Sequence[TaskOutcome]) -> None:
    """MLflow's own classifier evaluation of each task, its figures prefixed with `mlflow_TASK_`.

    It refuses a task where one label is all that there is.
    """
    for outcome in outcomes:
        if outcome.name == "joint" or np.unique([outcome.gold, outcome.predicted]).size == 1:
            continue
        names = [*outcome.labels, UNKNOWN]
        frame = pd.DataFrame(
            {"gold": [names[i] for i in outcome.gold], "predicted": [names[i] for i in outcome.predicted]},
            dtype=object,  # MLflow would make objects of texts anyway, beside them
        )
        mlflow.models.evaluate(  # type: ignore[no-untyped-call]
            data=frame,
            targets="gold",
            predictions="predicted",
            model_type="classifier",
            evaluators="default",
            evaluator_config={"log_model_explainability": False, "metric_prefix": f"mlflow_{outcome.name}_"},
        )
