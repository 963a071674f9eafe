"""Logging to MLflow as long as it can be reached."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

import mlflow
import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from agent.config import AgentConfig
from agent.errors import StoreError
from eval.stopping import uninterrupted
from eval.store import open_store, sqlite_path
from eval.tracking import experiment_name, tracked_run

Result = TypeVar("Result")
AWAY = (MlflowException, StoreError, SQLAlchemyError, requests.RequestException, OSError)
"""What MLflow's stores raise when they cannot be reached any more, or cannot write."""


class Tracker:
    """Does what is to be logged; once MLflow is away, nothing more.

    Args:
        run_id: Of the run; None when MLflow could not be reached at all.
        problem: Why not.
    """

    def __init__(self, run_id: str | None, problem: str | None = None) -> None:
        self.run_id = run_id
        self.problem = problem

    def log(self, step: Callable[[], Result]) -> Result | None:
        """The result of one step, which is not interrupted; None when MLflow is away."""
        if self.problem:
            return None
        try:
            with uninterrupted():
                return step()
        except AWAY as err:
            self.problem = " ".join(str(err).split())
            return None


@contextmanager
def tracker_of(config: AgentConfig, name: str, *, join: bool) -> Iterator[Tracker]:
    """A run that ends FAILED when the body raises; without a run when MLflow is away.

    Args:
        config: Of the candidate, whose track has an experiment.
        name: Of a new run.
        join: Whether the run of `mlflow run` is continued.

    Raises:
        StoreError: a local store cannot be opened or made, which is a mistake of the caller.
    """
    with ExitStack() as ended:
        try:
            with uninterrupted():
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
        if tracker.problem:
            with suppress(*AWAY):  # a run that cannot be reached cannot be ended either
                mlflow.end_run("FAILED")
        tracker.log(ended.close)
        with suppress(*AWAY):
            ended.close()
