"""A registered version to make images of, and a Docker engine where one runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import mlflow
import pytest
from docker.errors import DockerException
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.logged_model import log_agent
from registry.versions import EVIDENCE_TAG, Registry

EVIDENCE = "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def _version_store(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path, agent_config: AgentConfig) -> Path:
    """A store with the local model as version 1 and champion, copied for each test."""
    folder = tmp_path_factory.mktemp("version")
    path = Path(shutil.copy(_empty_store, folder / "mlflow.db"))
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(folder)
        mlflow.set_tracking_uri(f"sqlite:///{path}")
        mlflow.set_registry_uri(f"sqlite:///{path}")
        experiment = mlflow.create_experiment("version", artifact_location=(folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment) as run:
            uri = log_agent(agent_config).model_uri
        registry = Registry("news_classifier", MlflowClient())
        tags = {EVIDENCE_TAG: EVIDENCE, "provider": "sklearn", "code_hash": "c0de"}
        registry.set_alias("champion", registry.create_version(uri, run.info.run_id, tags))
    return path


@pytest.fixture
def champion(workspace: Path, _version_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose champion is version 1. Returns the folder of its files."""
    shutil.copy(_version_store, workspace / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")
    mlflow.set_registry_uri(f"sqlite:///{workspace}/mlflow.db")
    return next(_version_store.parent.rglob("MLmodel")).parent


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The engine of this machine. Its tests take the network, and are only collected where asked for (-m docker)."""
    try:
        client = docker.from_env()
    except DockerException as err:
        pytest.fail(f"no Docker engine answers: {err}")
    yield client
    client.close()
