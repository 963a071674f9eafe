"""One store with four versions, and the server that is run on it as a real process."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
import yaml
from mlflow.tracking import MlflowClient

from agent.champion import CHAMPION, MODEL_NAME
from agent.config import AgentConfig
from eval.candidates import load_candidate
from serving.app.control_commands import ask
from tests.conftest import ROOT
from tests.llm_server import LLMServer
from tests.registry.stores import MODEL_CODE
from tests.serving.running import add_version, make_champion, point, serving, store_in

ARTICLE = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}
SETTINGS = {
    "watch": {"every_s": 0.2, "retry_s": 0.5, "ping_s": 0.5},
    "halt": {"answers": 100, "min_answers": 20, "max_latency_ms": 60_000, "max_latency_ratio": 1e6},
    "predictions": {"flush_s": 0.1},
}
LOCAL, LLM, OTHER_LOCAL, BROKEN, GONE = "1", "2", "3", "4", "5"
"""Versions: the champion, one that waits for a service, a copy of the first, one that cannot be loaded, and one whose
files are gone."""


CHALLENGER = "challenger"


class App(NamedTuple):
    """The server, and what stands behind it."""

    url: str
    llm: LLMServer
    folder: Path
    environment: dict[str, str]

    def ask(self, title: str = ARTICLE["title"], **headers: str) -> tuple[int, str | None, dict[str, Any]]:
        """Status, version and body of the answer to one article."""
        body = json.dumps({**ARTICLE, "title": title}).encode()
        request = urllib.request.Request(f"{self.url}/classify", body, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers["X-Model-Version"], json.load(answer)
        except urllib.error.HTTPError as err:
            return err.code, None, json.loads(err.read())

    def version(self) -> str:
        """Who is the champion."""
        with urllib.request.urlopen(f"{self.url}/version") as answer:
            return str(json.load(answer)["version"])

    def metric(self, line: str) -> float:
        """The value of a metric, given as it is written."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            found = [row for row in answer.read().decode().splitlines() if row.startswith(f"{line} ")]
        return float(found[0].split()[-1]) if found else 0.0

    def point(self, alias: str, number: str | None) -> None:
        """Move an alias in the registry."""
        with store_in(self.folder):
            point(alias, number)

    def traffic(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`news-classifier serve traffic` beside the server."""
        command = [sys.executable, "-m", "serving.cli", "serve", "traffic", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def workers(self) -> list[int]:
        """Processes that serve a version."""
        return workers_in(self.folder)


def workers_in(folder: Path) -> list[int]:
    """Processes that serve a version for the server whose working directory this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if b"serving.app.worker" in (entry / "cmdline").read_bytes() and (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition: Any, seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, agent_config: AgentConfig) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app").resolve()
    with LLMServer() as llm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", llm.api_key)
        patch.setenv("OPENAI_BASE_URL", f"{llm.url}/v1")
        (folder / "temporary").mkdir()
        environment = {**make_champion(folder, agent_config), "TMPDIR": str(folder / "temporary")}
        add_versions(folder, agent_config)
        (folder / "serving.yaml").write_text(yaml.safe_dump(SETTINGS))
        smoke = {"most_misses": 2, "articles": [{"id": "cup", **ARTICLE, "category": "Sports"}]}
        (folder / "smoke.yaml").write_text(yaml.safe_dump(smoke))
        options = ["--settings", "serving.yaml", "--smoke", "smoke.yaml"]
        with serving(folder, environment, "app", *options) as url:
            found = App(url, llm, folder, environment)
            wait_until(lambda: post_ready(url) == 200)
            yield found


class PlainApp(NamedTuple):
    """The server with a local model alone."""

    url: str
    folder: Path
    """Its working directory, with its log in `serve.log`."""
    environment: dict[str, str]


@pytest.fixture(scope="session")
def plain_app(tmp_path_factory: pytest.TempPathFactory, agent_config: AgentConfig) -> Iterator[PlainApp]:
    """Shared by whoever changes nothing in it; gives callers little time."""
    folder = tmp_path_factory.mktemp("plain").resolve()
    environment = dict(make_champion(folder, agent_config))
    limits = {"body_mb": 4, "body_timeout_s": 3}
    (folder / "serving.yaml").write_text(yaml.safe_dump({"limits": limits}))
    with serving(folder, environment, "app", "--settings", "serving.yaml", ready="/ready") as url:
        yield PlainApp(url, folder, environment)


@pytest.fixture
def calm(app: App) -> Iterator[App]:
    """The server with the first version as its champion, no challenger and no shares, before and after a test."""
    app.llm.reset()
    yield app
    app.llm.reset()
    ask(app.folder / "serving-state", {"challenger_percent": 0, "shadow_percent": 0})
    app.point(CHALLENGER, None)
    app.point(CHAMPION, LOCAL)
    wait_until(lambda: app.version() == LOCAL)


def add_versions(folder: Path, local: AgentConfig) -> None:
    """Versions 2 to 5."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        llm = load_candidate(provider="openai").model_dump() | {"retries": {"first_wait_s": 0.01, "open_after": 1000}}
    with store_in(folder):
        assert add_version(AgentConfig.model_validate(llm)) == LLM
        assert add_version(local) == OTHER_LOCAL
        with mlflow.start_run():
            (folder / "echo.py").write_text(MODEL_CODE)
            uri = mlflow.pyfunc.log_model(name="echo", python_model="echo.py", pip_requirements=["mlflow"]).model_uri
        assert str(mlflow.register_model(uri, MODEL_NAME).version) == BROKEN
        source = (folder / "gone").as_uri()
        assert MlflowClient().create_model_version(MODEL_NAME, source).version == int(GONE)


def post_ready(url: str) -> int:
    """Status of /ready."""
    try:
        with urllib.request.urlopen(f"{url}/ready") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as err:
        return err.code
