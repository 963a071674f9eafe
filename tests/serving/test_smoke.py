"""`news-classifier serve smoke`: what it asks, what it says, its exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from serving.cli import main
from serving.golden import SmokeSet
from tests.serving.classifier_server import ClassifierServer, Reply

KEY = "example-key-of-this-test"


@pytest.fixture
def server(workspace: Path) -> Iterator[ClassifierServer]:
    """A server that knows the labels of the articles."""
    with ClassifierServer(known={golden.id: golden for golden in SmokeSet.from_file().articles}) as listening:
        yield listening


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["serve", "smoke", *map(str, arguments)])


def test_a_server_that_is_right(server: ClassifierServer) -> None:
    done = invoke(server.url, "--expect-version", "5", "--max-latency-ms", "5000")
    assert done.exit_code == 0, done.output
    for part in ("smoke-world-news", "World News", "ok  answers: 9 of 9", "ok  version: version 5", "ok  latency: p50"):
        assert part in done.stdout
    assert [len(asked.articles) for asked in server.asked] == [1] * 9


def test_the_same_for_machines(server: ClassifierServer) -> None:
    done = invoke(server.url, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["passed"]
    assert len(found["articles"]) == 9
    assert 0 < found["latency_ms_p50"] <= found["latency_ms_max"]


def test_the_first_answer_is_not_charged_with_the_start_of_the_client(server: ClassifierServer) -> None:
    """Regression: the first article always took 100 ms, which the import of the HTTP client took."""
    code = f"""if True:
        import sys
        from agent.background import run
        from agent.endpoint import Endpoint
        from agent.failures import RetrySettings
        from agent.transport import Timeouts
        from serving.invocations import Invocations, encode
        from serving.smoke import ask_all

        def headers():  # asked for when the time runs already
            print("aiohttp" in sys.modules)
            return {{}}

        print("aiohttp" in sys.modules)
        target = Endpoint({server.url!r}, "/invocations", headers)
        run(ask_all(Invocations(target, Timeouts(), RetrySettings()), [encode({{"title": "Sports"}})]))"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "False\nTrue\n"


def test_another_version_is_a_no_and_so_is_none(server: ClassifierServer) -> None:
    for version, said in (("5, 6", "version 5, 6; expected 6"), (None, "does not say which version answers; exp")):
        server.version = version
        done = invoke(server.url, "--expect-version", "6")
        assert done.exit_code == 1
        assert f"NO  version: {'the server ' if version is None else ''}{said}" in done.stdout


def test_a_slow_answer_is_a_no(server: ClassifierServer) -> None:
    server.script.append(Reply(latency_s=0.2))
    done = invoke(server.url, "--max-latency-ms", "200", "--json")
    assert done.exit_code == 1
    [latency] = [check for check in json.loads(done.stdout)["checks"] if not check["passed"]]
    assert latency["name"] == "latency"


def test_wrong_labels_are_a_no_and_are_named(server: ClassifierServer) -> None:
    server.known = {}
    done = invoke(server.url)
    assert done.exit_code == 1
    assert "NO  answers: " in done.stdout
    assert (
        "labels that are others, 1 allowed; first 'smoke-politics' has the category 'Parliament passes" in done.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["localhost"], 2, "'localhost' is no address"),
        (["{url}", "--key-env", "NO_SUCH_KEY"], 2, "NO_SUCH_KEY is not set"),
        (["{url}", "--articles", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["{url}", "--timeout-s", "0"], 2, "--timeout-s"),
    ],
)
def test_wrong_input(server: ClassifierServer, arguments: list[str], code: int, said: str) -> None:
    done = invoke(*(argument.format(url=server.url) for argument in arguments))
    assert done.exit_code == code
    assert said in done.stderr
    assert not server.asked


def test_nobody_there_and_the_wrong_key(server: ClassifierServer, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = invoke("http://127.0.0.1:9", "--timeout-s", "1")
    assert gone.exit_code == 3
    assert "Check that the server runs" in gone.stderr
    server.api_key = KEY
    refused = invoke(server.url)
    assert refused.exit_code == 3
    assert "Check the key" in refused.stderr
    monkeypatch.setenv("SMOKE_KEY", KEY)
    assert invoke(server.url, "--key-env", "SMOKE_KEY").exit_code == 0
