import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from agent.errors import StoreError
from eval.store import open_store, sqlite_path

OPEN = [sys.executable, "-c", "from eval.store import open_store; open_store()"]


def test_processes_that_start_at_once_make_one_whole_store(workspace: Path) -> None:
    starting = [subprocess.Popen(OPEN, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in starting:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    client = MlflowClient(tracking_uri=f"sqlite:///{workspace}/mlflow.db")
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert not list(workspace.glob("mlflow.db.new*"))


def test_a_store_left_half_made_is_made_again(workspace: Path) -> None:
    (workspace / "mlflow.db.new").write_bytes(b"SQLite format 3\0 and no more")
    subprocess.run(OPEN, check=True, capture_output=True)
    assert (workspace / "mlflow.db").exists()


@pytest.mark.parametrize("uri", ["sqlite:///broken.db", "sqlite:///broken.db/mlflow.db", "http://127.0.0.1:9"])
def test_a_store_that_cannot_be_opened_is_one_clear_error(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    (workspace / "broken.db").write_text("this is no database, just text of some length", encoding="utf-8")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = (workspace / "broken.db").read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store()
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (workspace / "broken.db").read_bytes() == before


def test_the_registry_may_be_elsewhere(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/runs.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{workspace}/models.db")
    store = open_store()
    assert store.registry_uri.endswith("models.db")
    assert (workspace / "runs.db").exists()
    assert (workspace / "models.db").exists()


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////var/a%20b.db", "/var/a b.db"),
        ("sqlite://", None),
        ("postgresql+psycopg://host/db", None),
        ("databricks-uc", None),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_sqlite_paths(uri: str, path: str | None) -> None:
    assert sqlite_path(uri) == (Path(path) if path else None)
