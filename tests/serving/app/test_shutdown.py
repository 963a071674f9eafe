"""What becomes of a server, and of what is in flight, when it is told to stop or cannot start."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.config import AgentConfig
from eval.candidates import load_candidate
from serving.app.control import CONTROL_FILE
from serving.predictions.sqlite_sink import DATABASE
from serving.predictions.store import read_predictions
from tests.conftest import ROOT
from tests.llm_server import Behaviour, LLMServer
from tests.serving.app.conftest import ARTICLE, post_ready, wait_until, workers_in
from tests.serving.running import make_champion, post


class Champion(NamedTuple):
    """A store whose champion asks an LLM."""

    llm: LLMServer
    folder: Path
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Champion]:
    folder = tmp_path_factory.mktemp("shutdown").resolve()
    with LLMServer() as llm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", llm.api_key)
        patch.setenv("OPENAI_BASE_URL", f"{llm.url}/v1")
        patch.chdir(ROOT)
        config = AgentConfig.model_validate(load_candidate(provider="openai").model_dump())
        environment = make_champion(folder, config)
        smoke = {"most_misses": 2, "articles": [{"id": "cup", **ARTICLE, "category": "Sports"}]}
        (folder / "smoke.yaml").write_text(json.dumps(smoke))
        yield Champion(llm, folder, environment)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def command(port: int, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "serving.app", "--port", str(port), *arguments]


class Started(NamedTuple):
    """A server of that champion."""

    process: "subprocess.Popen[bytes]"
    url: str


@contextmanager
def started(champion: Champion, state: Path, **limits: float) -> Iterator[Started]:
    champion.llm.reset()
    (champion.folder / "serving.yaml").write_text(json.dumps({"limits": limits}))
    port = free_port()
    words = command(port, "--smoke", "smoke.yaml", "--settings", "serving.yaml", "--state", str(state))
    server = subprocess.Popen(words, cwd=champion.folder, env=champion.environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: alive(url) and post_ready(url) == 200)
        yield Started(server, url)
    finally:
        server.kill()
        server.wait()


def test_what_is_in_flight_is_answered_and_logged_before_the_server_ends(champion: Champion, tmp_path: Path) -> None:
    statuses: list[int] = []
    with started(champion, tmp_path) as server:
        champion.llm.behaviour = Behaviour(latency_s=1.5)
        callers = [
            threading.Thread(
                target=lambda: statuses.append(post(f"{server.url}/classify", json.dumps(ARTICLE).encode())[0])
            )
            for _ in range(8)
        ]
        for caller in callers:
            caller.start()
        wait_until(lambda: champion.llm.in_flight == 8)
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join()
        assert server.process.wait(20) == -signal.SIGTERM  # as uvicorn ends when all is done
    assert statuses == [200] * 8
    assert len(list(read_predictions(tmp_path))) == 8


def test_what_is_in_flight_has_parts_of_a_second_too(champion: Champion, tmp_path: Path) -> None:
    """Regression: of 0.975 s for what is in flight, 0 were left."""
    with started(champion, tmp_path, shutdown_s=1.3) as server, ThreadPoolExecutor(1) as caller:
        champion.llm.behaviour = Behaviour(latency_s=0.4)
        asked = caller.submit(post, f"{server.url}/classify", json.dumps(ARTICLE).encode())
        wait_until(lambda: champion.llm.in_flight == 1)
        server.process.send_signal(signal.SIGTERM)
        assert asked.result()[0] == 200


def test_a_server_ends_in_time_whatever_hangs(champion: Champion, tmp_path: Path) -> None:
    with (
        started(champion, tmp_path, shutdown_s=3) as server,
        closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as log,
        ThreadPoolExecutor(1) as caller,
    ):
        log.execute("BEGIN IMMEDIATE")
        assert post(f"{server.url}/classify", json.dumps(ARTICLE).encode())[0] == 200
        champion.llm.behaviour = Behaviour(latency_s=60)
        asked = caller.submit(post, f"{server.url}/classify", json.dumps(ARTICLE).encode())
        wait_until(lambda: champion.llm.in_flight == 1)
        [worker] = workers_in(champion.folder)
        os.kill(worker, signal.SIGSTOP)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == -signal.SIGTERM
        assert time.monotonic() - told < 4.5
        assert asked.result()[0] == 503
    assert not workers_in(champion.folder)


def alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health"):
            return True
    except OSError:
        time.sleep(0.05)
        return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "serve key"),
        (["--model", "nonsense"], "is no model to serve"),
        (["--model", "."], "holds no MLmodel"),
        (["--state", "config/serving.yaml"], "The state folder 'config/serving.yaml' cannot be made"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns(".env"))
    run = subprocess.run(command(free_port(), *arguments), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_state_folder_is_one_servers_alone_and_free_again_when_that_is_killed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns(".env"))
    control = tmp_path / "serving-state" / CONTROL_FILE

    @contextmanager
    def running() -> Iterator["subprocess.Popen[bytes]"]:
        port = free_port()
        with subprocess.Popen(command(port), cwd=tmp_path) as server:
            try:
                wait_until(lambda: alive(f"http://127.0.0.1:{port}"))
                yield server
            finally:
                server.kill()

    with running():
        before = control.read_text()
        second = subprocess.run(
            command(free_port()), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert second.returncode == 2
        assert "The state folder 'serving-state' is that of a running server" in second.stderr
        assert "--state" in second.stderr
        assert second.stderr.count("\n") == 1
        assert control.read_text() == before
    with running():
        assert control.read_text() != before


def test_a_port_that_is_taken_is_said_before_anything_is_changed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns(".env"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(command(port), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in run.stderr
    assert not (tmp_path / "serving-state" / "control.json").exists()
