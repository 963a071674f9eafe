"""`mlflow models serve` on the champion, asked over HTTP."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.logged_model import log_agent

START_TIMEOUT_S = 90


@pytest.fixture
def url(store: MlflowClient, agent_config: AgentConfig, workspace: Path) -> Iterator[str]:
    with mlflow.start_run():
        model_uri = log_agent(agent_config).model_uri
    version = mlflow.register_model(model_uri, "news_classifier").version
    store.set_registered_model_alias("news_classifier", "champion", str(version))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.cli", "serve", "local", "--port", str(port)]
    with (workspace / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/ping", server)
        yield f"{address}/invocations"
    finally:
        server.terminate()
        server.wait()


def wait_for(ping: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(ping):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


def post(url: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as err:
        return err.code, json.load(err)


def test_the_champion_answers_over_http_in_every_form(url: str) -> None:
    article = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}
    bodies = [
        {"input": [], "custom_inputs": article},
        {"input": [], "custom_inputs": {"articles": [article]}},
        {"input": [{"role": "user", "content": json.dumps(article)}]},
    ]
    for body in bodies:
        status, answer = post(url, body)
        assert status == 200
        [record] = answer["custom_outputs"]["classifications"]  # type: ignore[index]
        assert record["category"] == "Sports"
    status, answer = post(url, {"input": [], "custom_inputs": {"artcles": [article]}})
    assert status == 400
    assert "Send custom_inputs" in str(answer["message"])
