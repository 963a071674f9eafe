"""The app of databricks.yml: its command as Databricks runs it, on loopback and with a store of SQLite."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.settings import parse_settings
from eval.logged_model import log_agent
from serving.app.settings import ServingSettings
from serving.databricks.app import PORT, SHUTDOWN_S, app_settings, command
from tests.conftest import ROOT

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15
"""After which Databricks kills an app."""
ARTICLE = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}


@pytest.fixture(scope="module")
def words() -> list[str]:
    """The command in databricks.yml."""
    bundle = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    found: list[str] = bundle["resources"]["apps"]["server"]["config"]["command"]
    return found


@pytest.fixture
def server(
    store: MlflowClient, agent_config: AgentConfig, workspace: Path, words: list[str]
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with mlflow.start_run():
        model_uri = log_agent(agent_config).model_uri
    version = mlflow.register_model(model_uri, "news_classifier").version
    store.set_registered_model_alias("news_classifier", "champion", str(version))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {PORT: str(port), "TMPDIR": str(workspace), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *words[1:]], env=environment)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait()


def answer(url: str, body: object = None) -> dict[str, object]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        found: dict[str, object] = json.load(response)
    return found


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the app ended"
        try:
            answer(f"{url}/ready")
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the app did not become ready")


def test_the_command_of_the_bundle_answers_without_a_key_keeps_nothing_and_ends_in_time(
    server: tuple[str, "subprocess.Popen[bytes]"], workspace: Path, words: list[str]
) -> None:
    url, process = server
    assert words == ["python", "-m", "serving.databricks.app"]
    wait_until_ready(url, process)
    assert answer(f"{url}/classify", ARTICLE)["category"] == "Sports"
    assert answer(f"{url}/version")["version"] == "1"
    process.terminate()
    process.wait(STOP_TIMEOUT_S)
    [state] = workspace.glob("news-classifier-*")
    assert "predictions.db" not in {path.name for path in state.iterdir()}
    assert not (workspace / "serving-state").exists()


def test_settings_keep_what_people_set_but_the_disk_and_the_end() -> None:
    settings = {"docs": False, "limits": {"articles": 7}, "predictions": {"sink": "sqlite", "keep_text": True}}
    found = parse_settings(app_settings(settings), ServingSettings, "the test")
    assert (found.docs, found.limits.articles, found.limits.shutdown_s) == (False, 7, SHUTDOWN_S)
    assert (found.predictions.sink, found.predictions.keep_text) == ("none", True)
    assert app_settings({"predictions": {"sink": "mlflow"}})["predictions"] == {"sink": "mlflow"}
    assert SHUTDOWN_S < STOP_TIMEOUT_S


def test_elsewhere_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PORT, raising=False)
    with pytest.raises(ConfigError, match="DATABRICKS_APP_PORT is not set, so this is no Databricks app"):
        command(Path(tempfile.gettempdir()))


@pytest.mark.parametrize("target", ["dev", "staging", "prod"])
def test_the_name_of_the_app_is_one_that_databricks_takes(target: str) -> None:
    bundle = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    name = bundle["resources"]["apps"]["server"]["name"].replace("${bundle.target}", target)
    assert re.fullmatch(r"[a-z0-9-]{2,30}", name)
