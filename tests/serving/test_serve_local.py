"""`mlflow models serve` on a champion that waits for an LLM, asked over HTTP."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from agent.config import AgentConfig
from eval.candidates import load_candidate
from serving.cli import main
from serving.client import NewsClassifier
from tests.conftest import ROOT
from tests.llm_server import Behaviour, LLMServer
from tests.serving.running import make_champion, post, serving

ARTICLE = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}
AT_ONCE = 32
TIMEOUT_S = 6


class Local(NamedTuple):
    """The server, and what stands behind it."""

    url: str
    llm: LLMServer
    folder: Path


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("serve_local")
    with LLMServer() as llm, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("OPENAI_API_KEY", llm.api_key)
        patch.setenv("OPENAI_BASE_URL", f"{llm.url}/v1")
        shipped = load_candidate(provider="openai").model_dump()
        config = AgentConfig.model_validate(shipped | {"max_concurrency": AT_ONCE, "retries": {"first_wait_s": 0.01}})
        environment = make_champion(folder, config)
        with serving(folder, environment, "local", "--timeout", str(TIMEOUT_S)) as url:
            yield Local(url, llm, folder)


@pytest.fixture(autouse=True)
def _calm(local: Local) -> None:
    local.llm.reset()


def ask(local: Local, body: object) -> tuple[int, Any]:
    status, text = post(f"{local.url}/invocations", json.dumps(body).encode())
    return status, json.loads(text)


def test_the_champion_answers_over_http_in_every_form(local: Local) -> None:
    bodies = [
        {"input": [], "custom_inputs": ARTICLE},
        {"input": [], "custom_inputs": {"articles": [ARTICLE]}},
        {"input": [{"role": "user", "content": json.dumps(ARTICLE)}]},
    ]
    for body in bodies:
        status, answer = ask(local, body)
        assert status == 200
        [record] = answer["custom_outputs"]["classifications"]
        assert record["category"] == "Politics"


def test_as_many_requests_wait_for_the_llm_at_once_as_the_agent_may_make_calls(local: Local) -> None:
    """Regression: MLflow's server answered six at a time on two processors."""
    local.llm.behaviour = Behaviour(latency_s=3)  # long enough for all of them to arrive on a machine that is busy
    with NewsClassifier(local.url) as classifier, ThreadPoolExecutor(AT_ONCE) as pool:
        records = list(pool.map(lambda n: classifier.classify(title=f"Club {n} wins"), range(AT_ONCE)))
    assert {record.category for record in records} == {"Politics"}
    assert local.llm.most_in_flight == AT_ONCE


def test_a_wrong_request_is_refused_without_its_text_and_without_a_traceback(local: Local) -> None:
    status, answer = ask(local, {"input": [], "custom_inputs": {"artcles": [ARTICLE]}})
    assert status == 400
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert answer["message"].startswith("custom_inputs has the keys ['artcles']. Send custom_inputs with")
    assert "stack_trace" not in answer
    assert ARTICLE["title"] not in str(answer)


def test_a_request_that_takes_too_long_gets_504(local: Local) -> None:
    local.llm.behaviour = Behaviour(hang=True)
    started = time.monotonic()
    status, said = post(f"{local.url}/invocations", json.dumps({"input": [], "custom_inputs": ARTICLE}).encode())
    assert (status, said) == (504, "Request processing time exceeded limit")
    assert time.monotonic() - started < TIMEOUT_S + 3


def test_no_article_is_kept_as_a_trace(local: Local) -> None:
    assert ask(local, {"input": [], "custom_inputs": ARTICLE})[0] == 200
    with closing(sqlite3.connect(local.folder / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM trace_info").fetchone() == (0,)


def test_a_port_that_is_taken_is_one_clear_line(workspace: Path) -> None:
    """Regression: it ended with 25 lines of MLflow's traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "local", "--port", str(port)])
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(f"Error: 127.0.0.1:{port} cannot be listened on: Address already in use")
    assert line.endswith("Choose another --port.")
    assert not (workspace / "mlflow.db").exists()
