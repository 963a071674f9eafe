"""A champion in a store of its own, and the commands that serve it, as real processes on loopback."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.champion import CHAMPION, MODEL_NAME
from agent.config import AgentConfig
from eval.logged_model import log_agent
from eval.store import open_store
from tests.conftest import ROOT

START_TIMEOUT_S = 90


def make_champion(folder: Path, config: AgentConfig) -> Mapping[str, str]:
    """Register an agent as the champion of a new store in an empty folder.

    Returns: The environment in which commands find it there.
    """
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns(".env"))
    with store_in(folder) as address:
        point(CHAMPION, add_version(config))
    addresses = {"MLFLOW_TRACKING_URI": address, "MLFLOW_REGISTRY_URI": address}
    return os.environ | addresses | {"PYTHONPATH": str(ROOT)}


@contextmanager
def store_in(folder: Path) -> Iterator[str]:
    """The store of a folder, open; its address. MLflow writes what it is told into the environment, too."""
    address = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.setenv(variable, address)
        open_store()
        yield address
    open_store()


def add_version(config: AgentConfig) -> str:
    """Register an agent in the store that is open. Returns the number of its version."""
    with mlflow.start_run():
        uri = log_agent(config).model_uri
    return str(mlflow.register_model(uri, MODEL_NAME).version)


def point(alias: str, number: str | None) -> None:
    """Let an alias of the store that is open point to a version, or to none."""
    if number is None:
        MlflowClient().delete_registered_model_alias(MODEL_NAME, alias)
    else:
        MlflowClient().set_registered_model_alias(MODEL_NAME, alias, number)


@contextmanager
def serving(folder: Path, environment: Mapping[str, str], *arguments: str, ready: str = "/ping") -> Iterator[str]:
    """`news-classifier serve ...` while the context is open; its address. What it prints is in `serve.log`.

    Args:
        ready: What answers when the server does.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.cli", "serve", *arguments, "--port", str(port)]
    with (folder / "serve.log").open("ab") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}{ready}", server, folder / "serve.log")
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(place: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(place):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8')}")


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body of an answer, errors included."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} | dict(headers or {}))
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()
