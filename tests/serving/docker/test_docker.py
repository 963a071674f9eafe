"""The image and the container with a real engine: `make docker-check`. The build takes packages from the network."""

import contextlib
import hashlib
import http.client
import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from docker.errors import NotFound

from agent.errors import DeploymentError
from serving.app.settings import KEYS_VARIABLE
from serving.cli import main
from serving.docker.container import PORT, USER, Wanted, run
from serving.docker.image import MB, Image
from tests.serving.docker.conftest import EVIDENCE

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]
TAG = "news-classifier:test"
KEY = "a-key-of-this-test-alone"
MOST_MB = 500
FORBIDDEN = ("pip", "gcc", "cc", "make", "git", "curl")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the first test of this module built, for the others."""
    return {}


@pytest.fixture
def served(
    engine: Any, champion: Path, free_port: int, monkeypatch: pytest.MonkeyPatch, made: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """What the command says, and the container that it started."""
    monkeypatch.setenv(KEYS_VARIABLE, f"test:{hashlib.sha256(KEY.encode()).hexdigest()}")
    result = serve("--port", str(free_port), "--tag", TAG, *(["--run"] if made else []), "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    made["image"] = answer["image"]
    container = engine.containers.get(answer["container"]["id"])
    try:
        yield answer, container
    finally:
        with contextlib.suppress(NotFound):  # another one took its place
            container.remove(force=True)


def serve(*words: str) -> Result:
    return CliRunner().invoke(main, ["serve", "docker", *words])


def ask(url: str, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, json.loads(text) if is_json else text.decode()


def test_the_champion_answers_from_a_small_image_to_those_who_have_a_key(served: tuple[dict[str, Any], Any]) -> None:
    answer, container = served
    url = answer["container"]["url"]
    assert answer["image"]["size_mb"] < MOST_MB
    assert answer["image"]["labels"]["news-classifier.version"] == "1"
    checks = {check["name"]: check for check in answer["container"]["smoke_test"]}
    assert all(check["passed"] for check in checks.values())
    assert checks["version"]["detail"] == "version 1; expected 1"
    article = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}
    assert ask(url, "POST", "/classify", article)[0] == 401
    status, record = ask(url, "POST", "/classify", article, KEY)
    assert (status, record["category"]) == (200, "Sports")
    assert ask(url, "GET", "/ready")[1]["ready"] is True
    assert ask(url, "GET", "/openapi.json", key=KEY)[0] == 200
    status, page = ask(url, "GET", "/docs", key=KEY)
    assert (status, "/classify" in page) == (200, True)
    status, version = ask(url, "GET", "/version", key=KEY)
    assert (status, version["model"], version["version"]) == (200, "news_classifier", "1")
    assert version["evidence_hash"] == EVIDENCE
    assert KEY not in str(container.attrs)


def test_the_container_has_no_root_no_rights_and_nothing_to_write_to_but_two_folders(
    served: tuple[dict[str, Any], Any],
) -> None:
    _, container = served

    def says(*words: str) -> tuple[int, str]:
        done = container.exec_run([*words])
        return done.exit_code, done.output.decode().strip()

    assert says("id", "-u") == (0, str(USER))
    assert says("sh", "-c", "echo > /x")[0] != 0
    assert says("sh", "-c", "echo > /app/x")[0] != 0
    assert says("sh", "-c", "echo > /tmp/x && echo > /state/x") == (0, "")
    assert "CapEff:\t0000000000000000" in says("cat", "/proc/1/status")[1]
    assert "NoNewPrivs:\t1" in says("cat", "/proc/1/status")[1]
    for tool in FORBIDDEN:
        code, where = says("sh", "-c", f"command -v {tool}")
        assert code != 0 or says(where, "--version")[0] != 0, where
    assert says("python", "-m", "pip", "--version")[0] != 0
    assert says("python", "-m", "serving.docker.healthcheck") == (0, "")
    settings = container.attrs["HostConfig"]
    assert settings["ReadonlyRootfs"] is True
    assert [binding["HostIp"] for binding in settings["PortBindings"][f"{PORT}/tcp"]] == ["127.0.0.1"]
    assert container.attrs["Config"]["Healthcheck"]["Test"][-1] == "serving.docker.healthcheck"


def test_a_container_ends_within_seconds_when_it_is_told_to(served: tuple[dict[str, Any], Any]) -> None:
    _, container = served
    container.stop(timeout=20)
    container.reload()
    assert container.attrs["State"]["ExitCode"] in (0, 143), container.logs()  # 137 is what a kill leaves


def test_a_second_container_at_a_port_is_refused_and_a_stopped_one_makes_room(
    served: tuple[dict[str, Any], Any], engine: Any
) -> None:
    answer, container = served
    port = answer["container"]["url"].rpartition(":")[2]
    again = serve("--run", "--tag", TAG, "--port", port)
    assert again.exit_code == 3
    assert f"The container news-classifier-{port} is running already." in again.stderr
    container.stop(timeout=20)
    result = serve("--run", "--tag", TAG, "--port", port, "--json")
    assert result.exit_code == 0, result.stderr
    engine.containers.get(json.loads(result.stdout)["container"]["id"]).remove(force=True)


def test_a_port_in_use_is_told_and_nothing_stays(served: tuple[dict[str, Any], Any], engine: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = serve("--run", "--tag", TAG, "--port", str(port))
    assert result.exit_code == 3
    assert f"Port {port} of 127.0.0.1 is in use. Choose another --port" in result.stderr
    assert f"news-classifier-{port}" not in [one.name for one in engine.containers.list(all=True)]


def test_an_image_that_is_not_there_is_told(engine: Any, champion: Path) -> None:
    result = serve("--run", "--tag", "news-classifier:nowhere")
    assert result.exit_code == 3
    assert "There is no image 'news-classifier:nowhere'. Build it first" in result.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("import sys; sys.exit('the model is damaged')", "ended with exit code 1. It last said: the model is damaged"),
        ("import time; print('loading', flush=True); time.sleep(60)", "was not ready after 3 s and was removed. "),
    ],
)
def test_a_container_that_dies_or_hangs_says_its_last_words_and_is_removed(
    engine: Any, free_port: int, command: str, message: str
) -> None:
    image = small_image(engine, ["python", "-c", command])
    said: list[str] = []
    with pytest.raises(DeploymentError) as caught:
        run(engine, image, Wanted("127.0.0.1", free_port, ()), timeout_s=3, tell=said.append)
    engine.images.remove(image.id)
    assert message in str(caught.value)
    assert f"news-classifier-{free_port}" not in [one.name for one in engine.containers.list(all=True)]


def test_a_build_that_fails_says_why(engine: Any, champion: Path) -> None:
    result = serve("--build", "--tag", TAG, "--base", "news-classifier-base:nowhere")
    assert result.exit_code == 3
    assert "The image could not be built on news-classifier-base:nowhere: " in result.stderr


def small_image(engine: Any, command: list[str]) -> Image:
    """The base image with another command, which takes no network."""
    with tempfile.NamedTemporaryFile() as dockerfile:
        base = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
        dockerfile.write(f"FROM {base}\nENTRYPOINT {json.dumps(command)}\n".encode())
        dockerfile.seek(0)
        built, _ = engine.images.build(fileobj=dockerfile, rm=True)
    return Image(built.id, built.id, round(built.attrs["Size"] / MB), {})
