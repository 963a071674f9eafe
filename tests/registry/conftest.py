"""Evaluations for the registry's tests: one really logged model, with figures as a test wants them."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.logged_model import log_agent
from eval.tags import COMPLETE_TAG
from tests.registry.stores import Logged, log_echo, sign_in
from tests.unity_catalog_server import UnityCatalogServer

Evaluate = Callable[..., EvaluationRecord]


@pytest.fixture
def evaluated(store: MlflowClient, agent_config: AgentConfig) -> Evaluate:
    """Log a complete evaluation whose figures are given."""
    uris: list[str] = []

    def log(
        accuracy: float, sentiment: float = 0.85, digest: str = "d1", f1: float = 0.9, **more: float
    ) -> EvaluationRecord:
        with mlflow.start_run() as run:
            if not uris:
                uris.append(log_agent(agent_config).model_uri)
            metrics = {
                "category_accuracy": accuracy,
                "category_macro_f1": f1,
                "category_macro_precision": 0.9,
                "category_macro_recall": 0.9,
                "sentiment_accuracy": sentiment,
                "latency_ms_p95": 3.0,
                "cost_usd_per_1k": 0.0,
                "articles": 400.0,
            } | more
            record = EvaluationRecord(
                run_id=run.info.run_id,
                run_name="a run",
                started_at=datetime.now(UTC),
                model_uri=uris[0],
                agent="candidate",
                candidate=CandidateRecord(
                    provider="sklearn",
                    model="news-sklearn",
                    track="local",
                    model_hash=run.info.run_id,
                    config_hash="c",
                    code_hash="k",
                ),
                dataset=DatasetRecord(path="set.jsonl", rows=400, digest=digest),
                metrics=metrics,
                artifacts=[],
                fresh_calls=400,
                cached_calls=0,
            )
            mlflow.log_text(record.model_dump_json(), EVALUATION_FILE)
            mlflow.set_tag(COMPLETE_TAG, "true")
        return record

    return log


@pytest.fixture(scope="session")
def _echo_store(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> tuple[Path, Logged]:
    """A store with one small model in it, copied for each test because logging one takes seconds."""
    folder = tmp_path_factory.mktemp("echo")
    path = Path(shutil.copy(_empty_store, folder / "mlflow.db"))
    return path, log_echo(f"sqlite:///{path}", folder)


@pytest.fixture
def echo(workspace: Path, _echo_store: tuple[Path, Logged], monkeypatch: pytest.MonkeyPatch) -> Logged:
    """A small model in a store of this test's own."""
    path, logged = _echo_store
    shutil.copy(path, workspace / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    return logged


@pytest.fixture
def unity_catalog(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnityCatalogServer]:
    """A workspace where ann, who is signed in, may make models in main.news."""
    with UnityCatalogServer() as server:
        server.catalog.grant("ann", "main", "USE_CATALOG")
        server.catalog.grant("ann", "main.news", "USE_SCHEMA", "CREATE_MODEL")
        sign_in(server, "ann", monkeypatch)
        monkeypatch.setenv("UC_CATALOG", "main")
        monkeypatch.setenv("UC_SCHEMA", "news")
        yield server
