"""MLflow is away, or goes away half-way: the evaluation completes, its results are on disk, nothing is registered."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient

from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet
from eval.runner import evaluate
from tests.eval.test_llm_runs import candidate
from tests.eval.test_resume import COMMAND, wait_until
from tests.llm_server import Behaviour, LLMServer

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample_news.json"
RUN = (*COMMAND, "eval", "run", "--provider", "openai", "--data", str(SAMPLE), "--json")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(workspace: Path, _empty_store: Path) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """A real tracking server and its address."""
    folder = workspace / "server"
    folder.mkdir()
    shutil.copy(_empty_store, folder / "mlflow.db")
    port = free_port()
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
    with (workspace / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "--port", str(port)], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_up(url), "the tracking server answers", 60)
        yield url, process
    finally:
        kill(process)


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def kill(process: "subprocess.Popen[bytes]") -> None:
    """The server, and the workers that it started in its own group."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
    process.wait()


def check_kept(workspace: Path, stdout: str, stderr: str) -> None:
    [folder] = (workspace / "reports").iterdir()
    assert f"news-classifier eval upload reports/{folder.name}" in stderr
    assert "Traceback" not in stderr
    assert "registry register" not in stderr
    printed = EvaluationRecord.model_validate(json.loads(stdout))
    kept = EvaluationRecord.model_validate_json((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert kept == printed
    assert (kept.run_id, kept.model_uri, kept.metrics["category_accuracy"]) == (None, None, 1.0)
    assert {path.name for path in folder.iterdir()} == {*kept.artifacts, "kept.json"}


def test_nobody_at_the_address(workspace: Path, llm: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    done = subprocess.run(RUN, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    check_kept(workspace, done.stdout, done.stderr)
    assert len(llm.requests) == 10


@pytest.mark.slow
def test_a_server_that_dies_half_way(
    workspace: Path,
    llm: LLMServer,
    server: "tuple[str, subprocess.Popen[bytes]]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: the run that could not be ended any more was an error after all."""
    url, process = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    llm.behaviour = Behaviour(status=429, retry_after="0.5")  # until the server is gone
    llm.script([Behaviour()] * 9)
    evaluation = subprocess.Popen(RUN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    place = f"sqlite:///{workspace}/server/mlflow.db"
    client = MlflowClient(tracking_uri=place, registry_uri=place)
    wait_until(lambda: client.get_experiment_by_name("news-classifier-external") is not None, "the run has begun", 90)
    experiment = client.get_experiment_by_name("news-classifier-external")
    assert experiment
    wait_until(lambda: bool(client.search_logged_models([experiment.experiment_id])), "the model is being logged", 90)
    kill(process)
    llm.behaviour = Behaviour()
    stdout, stderr = evaluation.communicate(timeout=120)
    assert evaluation.returncode == 0, stderr
    check_kept(workspace, stdout, stderr)
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["RUNNING"]
    assert client.search_registered_models() == []


@pytest.mark.slow
def test_many_evaluations_leave_no_thread_process_or_file_open(
    workspace: Path, llm: LLMServer, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = candidate("openai")

    def opened() -> tuple[int, int, int]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8").split()
        return threading.active_count(), len(children), len(list(Path("/proc/self/fd").iterdir()))

    def evaluate_once() -> None:
        assert evaluate(config, sample_set, journal=Path("journal.db")).metrics["category_accuracy"] == 1.0
        shutil.rmtree("reports")

    evaluate_once()
    wait_until(lambda: not requests_open(llm), "the service is done")
    before = opened()
    for _ in range(20):
        evaluate_once()
    wait_until(lambda: opened() <= before, f"no more is open than {before}", 5)


def requests_open(llm: LLMServer) -> bool:
    return any(not received.status for received in llm.requests)
