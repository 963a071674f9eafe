"""`serve docker` without an engine: one clear line, and what a container would be given."""

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.errors import DeploymentError
from serving.app.settings import KEYS_VARIABLE, ApiKey
from serving.cli import main
from serving.docker.container import Wanted, environment, folders_in_memory, tried
from serving.docker.healthcheck import is_ready
from serving.golden import SmokeSet
from tests.conftest import ROOT
from tests.serving.classifier_server import ClassifierServer

SHA256 = "ab" * 32
WANTED = Wanted("127.0.0.1", 8000, ())


@pytest.mark.parametrize("options", [[], ["--build"], ["--run"], ["--json"]])
def test_without_an_engine_there_is_one_clear_line(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{workspace}/no.sock")
    result = CliRunner().invoke(main, ["serve", "docker", *options])
    assert result.exit_code == 3
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(
        f"Error: No Docker engine answers at unix://{workspace}/no.sock. Start one, or set DOCKER_HOST."
    )
    assert not (workspace / "mlflow.db").exists()


def test_mlflows_image_without_an_engine_is_one_clear_line(workspace: Path) -> None:
    """Regression: `make docker-mlflow` ended with MLflow's traceback and one of its own."""
    environment = os.environ | {"DOCKER_HOST": f"unix://{workspace}/no.sock"}
    command = [sys.executable, str(ROOT / "tests" / "mlflow_image.py")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.startswith(f"Error: No Docker engine answers at unix://{workspace}/no.sock. Start one")
    assert not (workspace / "mlflow.db").exists()


def test_a_wrong_address_of_an_engine_is_one_clear_line(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "gopher://nowhere")
    result = CliRunner().invoke(main, ["serve", "docker"])
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: No Docker engine answers at gopher://nowhere.")


def test_settings_that_cannot_be_read_are_wrong_input(workspace: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "docker", "--settings", "nowhere.yaml"])
    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr


def test_a_container_is_given_its_providers_keys_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HTTPS_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "two")
    found = environment(
        "openai", WANTED._replace(keys=(ApiKey(name="ann", sha256=SHA256, requests_per_minute=60),)), "key"
    )
    deployment = f"deployment:{hashlib.sha256(b'key').hexdigest()}"
    assert found == {"OPENAI_API_KEY": "one", KEYS_VARIABLE: f"ann:{SHA256}:60 {deployment}"}
    assert environment("sklearn", WANTED, "key") == {KEYS_VARIABLE: deployment}
    with pytest.raises(DeploymentError, match="HTTPS_PROXY is not set, so --env cannot pass it on"):
        environment("sklearn", WANTED._replace(variables=("HTTPS_PROXY",)), "key")


def test_state_is_in_memory_unless_a_volume_is_given() -> None:
    assert set(folders_in_memory(WANTED)) == {"/tmp", "/state"}
    assert set(folders_in_memory(WANTED._replace(state="news"))) == {"/tmp"}


def test_a_container_published_everywhere_is_asked_on_loopback() -> None:
    assert WANTED._replace(address="0.0.0.0").url == "http://127.0.0.1:8000"
    assert WANTED._replace(address="10.0.0.7").url == "http://10.0.0.7:8000"


def test_another_version_or_other_labels_fail_the_smoke_test(workspace: Path) -> None:
    with ClassifierServer(known={golden.id: golden for golden in SmokeSet.from_file().articles}) as server:
        here = WANTED._replace(port=int(server.url.rpartition(":")[2]))
        assert all(check.passed for check in tried(here, "key", "5"))
        with pytest.raises(
            DeploymentError, match="failed the smoke test and was removed; version: version 5; expected 6"
        ):
            tried(here, "key", "6")
        server.known = {}
        with pytest.raises(DeploymentError, match="was removed; answers: .*first 'smoke-politics'"):
            tried(here, "key", "5")


class Ready(BaseHTTPRequestHandler):
    status = http.client.OK

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/ready" else http.client.NOT_FOUND)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": self.status == http.client.OK}).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(params=[http.client.OK, http.client.SERVICE_UNAVAILABLE])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Status of a server on loopback, and its port."""
    handler = type("Answer", (Ready,), {"status": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield request.param, server.server_port
        server.shutdown()


def test_healthy_is_who_is_ready(server: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    status, port = server
    assert is_ready(port) is (status == http.client.OK)


def test_nobody_there_is_not_healthy() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        port = server.server_port
    assert not is_ready(port)
