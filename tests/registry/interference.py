"""What happens to a command at one of its calls of the store: the process is killed, or the store fails."""

import functools
import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as SqlRegistry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as SqlTracking
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

Call = Callable[[], Any]
Happens = Callable[[str, Call], Any]
READS = ("get_", "search_", "list_", "download_")
"""How the calls begin that change nothing."""
CHILD_S = 120
RANDOM = re.compile(r"[0-9a-f]{8,64}|\d{13}|\d{4}-\d\d-\d\dT[\d:.]+Z?")
"""Ids, hashes and times, by which two stores differ in which the same was done."""


@contextmanager
def intercepted(happens: Happens) -> Iterator[None]:
    """Every call of MLflow's client, and of the files of runs, goes through `happens`; calls within calls do not."""
    inside = threading.local()

    def through(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: object, **named: object) -> object:
            if getattr(inside, "a_call", False):
                return method(*args, **named)
            inside.a_call = True
            try:
                return happens(name, lambda: method(*args, **named))
            finally:
                inside.a_call = False

        return call

    wrapped = [(MlflowClient, name) for name in vars(MlflowClient) if not name.startswith("_")]
    wrapped += [(LocalArtifactRepository, name) for name in ("log_artifact", "log_artifacts", "download_artifacts")]
    with ExitStack() as stack:
        for owner, name in wrapped:
            if callable(method := vars(owner)[name]):
                stack.enter_context(mock.patch.object(owner, name, through(name, method)))
        yield


def calls_of(command: Call) -> list[str]:
    """The calls that a command makes, in their order."""
    names: list[str] = []

    def counted(name: str, call: Call) -> Any:
        names.append(name)
        return call()

    with intercepted(counted):
        command()
    return names


def at(place: int, happens: Happens) -> Happens:
    """Something that happens at one call, counted from 0, and not at the others."""
    seen = iter(range(10**6))
    return lambda name, call: happens(name, call) if next(seen) == place else call()


def forked(command: Call) -> int:
    """A process that runs a command and ends with 0, or 1 if it fails; its id.

    It shares no connection with this process, whose connections are closed before.
    """
    close_connections()
    if child := os.fork():
        return child
    try:
        signal.alarm(CHILD_S)
        command()
        os._exit(0)
    finally:
        os._exit(1)


def killed_at(place: int, command: Call) -> None:
    """Run a command in a process that is killed before one of its calls, counted from 0, or after the last one."""

    def killed() -> None:
        with intercepted(at(place, lambda name, call: die())):
            command()
        die()

    _, status = os.waitpid(forked(killed), 0)
    assert os.WIFSIGNALED(status), f"the command failed by itself before call {place}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def die() -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def close_connections() -> None:
    """Forget the connections and threads that MLflow keeps, so that the store can be replaced or a child made."""
    for store in (SqlRegistry, SqlTracking):
        for engine in store._engine_map.values():
            engine.dispose()
    _artifact_repos_cache.clear()


class SavedStore:
    """The SQLite store and the files of a folder as they are now, to go back to."""

    def __init__(self, folder: Path) -> None:
        close_connections()
        self._folder = folder
        self._database = (folder / "mlflow.db").read_bytes()
        self._files = {path for path in folder.rglob("*") if path.is_file()}

    def restore(self) -> None:
        """Put the database back and delete the files that were written since; none is ever changed."""
        close_connections()
        for path in self._folder.rglob("*"):
            if path.is_file() and path not in self._files:
                path.unlink()
        (self._folder / "mlflow.db").write_bytes(self._database)


def what_stands(folder: Path) -> str:
    """Everything that the store of a folder holds, without what is random."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        rows = sorted(RANDOM.sub("#", line) for line in connection.iterdump())
    files = sorted(RANDOM.sub("#", str(path)) for path in folder.rglob("evidence/*"))
    return "\n".join([*rows, *files])
