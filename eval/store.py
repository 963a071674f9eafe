"""The MLflow store: where it is, and that a local one is created once and whole.

Two processes that create one SQLite store at the same time break it, and so does a process killed half-way. So a new
store is built beside its place under a lock and then moved there in one step.
"""

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from agent.errors import StoreError
from agent.redaction import redact_logs

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
LOCK_TIMEOUT_S = 120.0
SQLITE_HEADER = b"SQLite format 3\0"


class Store(NamedTuple):
    """The two addresses that MLflow was told to use."""

    tracking_uri: str
    registry_uri: str


def open_store() -> Store:
    """Point MLflow at the store of the environment, or `sqlite:///mlflow.db`; create it if new; check that it answers.

    Raises:
        StoreError: the store cannot be created, opened or read.
    """
    import mlflow  # two seconds, which an evaluation spends while it waits for its first answers

    redact_logs()  # MLflow has made handlers of its own
    store = configured_store()
    mlflow.set_tracking_uri(store.tracking_uri)
    mlflow.set_registry_uri(store.registry_uri)
    local_store_checked()
    for uri in {*store}:
        if (path := sqlite_path(uri)) and not path.exists():
            _create_sqlite_store(path, uri)
    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except Exception as err:
        raise StoreError(
            f"The MLflow store {store.tracking_uri!r} cannot be read: {err}. Check MLFLOW_TRACKING_URI."
        ) from err
    return store


def configured_store() -> Store:
    """The addresses that the environment names."""
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI
    return Store(tracking_uri, os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri)


def local_store_checked() -> None:
    """Look at the files of those stores that are local; quick, and without MLflow.

    Raises:
        StoreError: one is no database, or cannot be made.
    """
    for uri in {*configured_store()}:
        path = sqlite_path(uri)
        if path and path.exists():
            _check_sqlite(path, uri)
        elif path and not path.absolute().parent.is_dir():
            raise StoreError(f"The MLflow store {uri!r} cannot be created: there is no folder {path.parent}. Make it.")


def sqlite_path(uri: str) -> Path | None:
    """The database file of a `sqlite:///` address; None for any other store."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme.partition("+")[0] != "sqlite" or not parts.path.strip("/"):
        return None
    return Path(unquote(parts.path[1:]))


def _create_sqlite_store(path: Path, uri: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    fresh = path.with_name(f"{path.name}.new")
    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_TIMEOUT_S):
            if path.exists():
                return
            for leftover in path.parent.glob(f"{fresh.name}*"):
                leftover.unlink()
            client = MlflowClient(tracking_uri=f"sqlite:///{fresh}", registry_uri=f"sqlite:///{fresh}")
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
            fresh.replace(path)
    except (OSError, Timeout, MlflowException) as err:
        raise StoreError(
            f"The MLflow store {uri!r} cannot be created: {err}. Check that its folder exists and is writable."
        ) from err


def _check_sqlite(path: Path, uri: str) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
        if header and header != SQLITE_HEADER:
            raise StoreError(
                f"The MLflow store {uri!r} is not an SQLite database. Move {path} away or set MLFLOW_TRACKING_URI."
            )
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as err:
        raise StoreError(f"The MLflow store {uri!r} cannot be opened: {err}. Check {path}.") from err
