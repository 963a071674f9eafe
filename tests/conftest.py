"""Real parts for every test: a temporary MLflow store, a model trained on a slice of the shipped articles."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import mlflow
import pytest
from hypothesis import HealthCheck, settings
from mlflow.tracking import MlflowClient
from mlflow.tracking._model_registry import utils as mlflow_registry
from mlflow.tracking._tracking_service import utils as mlflow_tracking

from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.settings import read_settings
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.store import open_store
from training.config import TrainingConfig
from training.train import train

ROOT = Path(__file__).resolve().parent.parent
SLICE = 640


def pytest_configure() -> None:
    """No test talks to anything but this machine, MLflow's telemetry included, or fails because it is busy."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


@pytest.fixture(autouse=True)
def _no_traces() -> Iterator[None]:
    """What a test leaves in the environment is gone, and so are the addresses that MLflow remembers and puts there."""
    tracking = patch.object(mlflow_tracking, "_tracking_uri", mlflow_tracking._tracking_uri)
    registry = patch.object(mlflow_registry, "_registry_uri", mlflow_registry._registry_uri)
    with patch.dict(os.environ), tracking, registry:
        yield


@pytest.fixture(scope="session")
def labels() -> LabelSet:
    return read_settings(ROOT / "config" / "labels.yaml", LabelSet)


@pytest.fixture(scope="session")
def training_config() -> TrainingConfig:
    return read_settings(ROOT / "config" / "training.yaml", TrainingConfig)


@pytest.fixture(scope="session")
def small_training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slice of the shipped training articles, enough for a model that is clearly better than chance."""
    lines = (ROOT / "data" / "training_news.jsonl").read_text(encoding="utf-8").splitlines()[:SLICE]
    path = tmp_path_factory.mktemp("training") / "small_training.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_training_set(small_training_file: Path, labels: LabelSet) -> LabeledSet:
    return load_labeled_set(small_training_file, labels)


@pytest.fixture(scope="session")
def local_model(
    tmp_path_factory: pytest.TempPathFactory,
    small_training_set: LabeledSet,
    training_config: TrainingConfig,
    labels: LabelSet,
) -> Path:
    """Folder of a local model trained on the slice."""
    folder = tmp_path_factory.mktemp("models") / "local"
    train([small_training_set], folder, training_config, labels)
    return folder


@pytest.fixture(scope="session")
def agent_config(local_model: Path, labels: LabelSet) -> AgentConfig:
    return AgentConfig(
        name="local-sklearn",
        provider="sklearn",
        model="news-sklearn",
        track="local",
        labels=labels,
        artifact=local_model,
    )


@pytest.fixture(scope="session")
def sample_set(labels: LabelSet) -> LabeledSet:
    return load_labeled_set(ROOT / "data" / "sample_news.json", labels)


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised SQLite store, copied for each test because making one takes a second."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the shipped configuration, and no MLflow setting in the environment."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_RUN_ID",
        "MLFLOW_EXPERIMENT_ID",
        "UC_CATALOG",
        "UC_SCHEMA",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "DATABRICKS_HOST",
        "DATABRICKS_TOKEN",
        "DATABRICKS_CLIENT_ID",
        "DATABRICKS_CLIENT_SECRET",
    ):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns(".env"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(workspace: Path, _empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A fresh store in the working directory. Its address is absolute because MLflow keeps connections by address."""
    shutil.copy(_empty_store, workspace / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    open_store()
    yield MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def hears_interrupts() -> None:
    """A shell that starts tests in the background lets them, and all that they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
