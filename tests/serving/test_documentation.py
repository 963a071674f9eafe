"""docs/serving.md on real servers: every example runs, and one article has one answer in whichever form it is asked."""

import asyncio
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from mlflow.deployments import get_deploy_client
from openai import OpenAI

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.records import Article, Classification
from serving.cli import main
from serving.client import AsyncNewsClassifier, NewsClassifier
from tests.conftest import ROOT
from tests.serving.running import make_champion, post, serving

KEY = "example-key-of-this-test"
PAGE = ROOT / "docs" / "serving.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES: list[tuple[str, str]] = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
ARTICLE = {"title": "Rowers win gold on home water", "content": "The city's four beat the champions by a second."}
TEXT = json.dumps(ARTICLE)
REQUEST = {"input": [], "custom_inputs": ARTICLE}
NAME = "news-classifier"
TRACE_TIMEOUT_S = 20


class Servers(NamedTuple):
    """What answers, all with the same champion."""

    app: str
    local: str
    folder: Path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, agent_config: AgentConfig) -> Iterator[Servers]:
    """Both servers, and an environment in which the app is the Databricks workspace, too."""
    folder = tmp_path_factory.mktemp("served")
    environment = make_champion(folder, agent_config)
    keys = {"NEWS_CLASSIFIER_API_KEYS": f"tests:{hashlib.sha256(KEY.encode()).hexdigest()}"}
    with ExitStack() as running:
        app = running.enter_context(serving(folder, environment | keys, "app", ready="/ready"))
        local = running.enter_context(serving(folder, environment, "local", "--workers", "2", "--trace-sampling", "1"))
        patch = running.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DATABRICKS_HOST", app)
        for name in ("NEWS_CLASSIFIER_API_KEY", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN"):
            patch.setenv(name, KEY)
        yield Servers(app, local, folder)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the command of the product, as an installation has it."""
    folder = tmp_path_factory.mktemp("commands")
    command = folder / "news-classifier"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serving.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=lambda text: text[:40])
def test_every_example_of_the_page_runs_as_it_stands(
    servers: Servers, commands: Path, language: str, code: str
) -> None:
    code = code.replace("http://127.0.0.1:8000", servers.app).replace("http://127.0.0.1:5001", servers.local)
    shell = ["bash", "-eu", "-o", "pipefail", "-c", code]
    done = subprocess.run(
        shell if language == "bash" else [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Sports" in done.stdout


def test_the_page_has_an_example_of_each_kind() -> None:
    everything = "".join(code for _, code in EXAMPLES)
    for part in ("/classify", "x-ndjson", '"stream": true', "NewsClassifier", "AsyncNewsClassifier", "databricks://",
                 "responses.create", "get_deploy_client", "serve smoke"):  # fmt: skip
        assert part in everything


def sent(url: str, body: object, **headers: str) -> str:
    """The body of an answer."""
    content = body if isinstance(body, str) else json.dumps(body)
    status, answer = post(url, content.encode(), {"Authorization": f"Bearer {KEY}"} | headers)
    assert status == 200, answer
    return answer


def events(text: str) -> list[dict[str, Any]]:
    """Server-sent events, which end as OpenAI's do."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def of(answer: Any) -> Any:
    """The one record in an answer of the agent, whose text says the same."""
    [record] = answer["custom_outputs"]["classifications"]
    return record


def last_item(found: list[dict[str, Any]]) -> Any:
    """The one record in the events of a stream."""
    [done] = [event for event in found if event["type"] == "response.output_item.done"]
    deltas = "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta")
    assert deltas == done["item"]["content"][0]["text"]
    return of(done)


def streamed_by_openai(url: str) -> Any:
    stream = openai(url).responses.create(model=NAME, input=TEXT, stream=True)
    return of([event.model_dump() for event in stream][-1]["response"])


def openai(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=KEY)


async def awaited(url: str) -> Classification:
    async with AsyncNewsClassifier(url) as classifier:
        return await classifier.classify(**ARTICLE)


def waited(url: str) -> Classification:
    with NewsClassifier(url) as classifier:
        return classifier.classify(**ARTICLE)


Way = Callable[[Servers], Any]
MESSAGE = {"input": [{"role": "user", "content": TEXT}]}
MANY = {"input": [], "custom_inputs": {"articles": [ARTICLE]}}
NDJSON = "application/x-ndjson"
TABLES = {
    "inputs": {"inputs": REQUEST},
    "inputs, a row": {"inputs": [REQUEST]},
    "records": {"dataframe_records": [REQUEST]},
    "split": {"dataframe_split": {"columns": ["input", "custom_inputs"], "data": [[[], ARTICLE]]}},
}
WAYS: Mapping[str, Way] = {
    "app, /classify": lambda at: json.loads(sent(f"{at.app}/classify", ARTICLE)),
    "app, /classify, a list": lambda at: json.loads(sent(f"{at.app}/classify", {"articles": [ARTICLE]}))[
        "classifications"
    ][0],
    "app, /classify, lines": lambda at: json.loads(sent(f"{at.app}/classify", TEXT, **{"Content-Type": NDJSON})),
    "app, /classify, lines wanted": lambda at: json.loads(sent(f"{at.app}/classify", ARTICLE, Accept=NDJSON)),
    "app, /invocations": lambda at: of(json.loads(sent(f"{at.app}/invocations", REQUEST))),
    "app, /invocations, a list": lambda at: of(json.loads(sent(f"{at.app}/invocations", MANY))),
    "app, /invocations, a message": lambda at: of(json.loads(sent(f"{at.app}/invocations", MESSAGE))),
    "app, /invocations, events": lambda at: last_item(
        events(sent(f"{at.app}/invocations", REQUEST | {"stream": True}))
    ),
    "app, /responses": lambda at: of(json.loads(sent(f"{at.app}/responses", {"input": TEXT}))),
    "app, OpenAI": lambda at: of(openai(at.app).responses.create(model=NAME, input=TEXT).model_dump()),
    "app, OpenAI, events": lambda at: streamed_by_openai(at.app),
    "app, mlflow.deployments": lambda at: of(get_deploy_client(at.app).predict(endpoint=NAME, inputs=REQUEST)),
    "Databricks, mlflow.deployments": lambda at: of(
        get_deploy_client("databricks").predict(endpoint=NAME, inputs=REQUEST)
    ),
    "Databricks, mlflow.deployments, events": lambda at: last_item(
        list(get_deploy_client("databricks").predict_stream(endpoint=NAME, inputs=REQUEST))
    ),
    "app, the client": lambda at: waited(at.app),
    "app, the client that is awaited": lambda at: asyncio.run(awaited(at.app)),
    "Databricks, the client": lambda at: waited(f"databricks://{NAME}"),
    "MLflow's server": lambda at: of(json.loads(sent(f"{at.local}/invocations", REQUEST))),
    "MLflow's server, a list": lambda at: of(json.loads(sent(f"{at.local}/invocations", MANY))),
    "MLflow's server, a message": lambda at: of(json.loads(sent(f"{at.local}/invocations", MESSAGE))),
    "MLflow's server, the client": lambda at: waited(at.local),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_request_in_a_table_is_answered_as_mlflow_does(servers: Servers, table: str) -> None:
    ours, mlflows = (json.loads(sent(f"{at}/invocations", TABLES[table])) for at in (servers.app, servers.local))
    assert ours.keys() == mlflows.keys() == {"predictions"}
    assert ours["predictions"].keys() == mlflows["predictions"].keys()
    assert comparable(of(ours["predictions"])) == comparable(of(mlflows["predictions"]))


def test_rows_that_mlflow_would_forget_are_refused(servers: Servers) -> None:
    body = json.dumps({"dataframe_records": [REQUEST, REQUEST]}).encode()
    request = urllib.request.Request(
        f"{servers.app}/invocations", body, {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    )
    with pytest.raises(urllib.error.HTTPError, match="422") as refused:
        urllib.request.urlopen(request)
    assert "must have one row" in json.load(refused.value)["detail"]


@pytest.mark.parametrize("way", WAYS)
def test_one_article_has_one_answer_whoever_is_asked_and_how(
    servers: Servers, agent_config: AgentConfig, way: str
) -> None:
    [(_, own)] = Classifier(agent_config).classify([Article(**ARTICLE)])
    answer = WAYS[way](servers)
    assert comparable(answer) == comparable(own)


def test_the_smoke_test_knows_which_version_of_the_app_answers(servers: Servers) -> None:
    for version, code in (("1", 0), ("2", 1)):
        done = CliRunner().invoke(main, ["serve", "smoke", servers.app, "--expect-version", version])
        assert done.exit_code == code, done.output
        assert f"version: version 1; expected {version}" in done.stdout, done.output


def test_workers_and_traces_are_as_many_as_were_asked_for(servers: Servers) -> None:
    assert (servers.folder / "serve.log").read_text(encoding="utf-8").count("Started server process") == 2
    waited(servers.local)
    deadline = time.monotonic() + TRACE_TIMEOUT_S
    while not kept_traces(servers.folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kept_traces(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        [count] = store.execute("SELECT count(*) FROM trace_info").fetchone()
        return int(count)


def comparable(record: Any) -> dict[str, Any]:
    """A record without what differs from one time to the next: how long it took."""
    fields = Classification.model_validate(record).model_dump() if isinstance(record, dict) else record.model_dump()
    for call in fields["calls"]:
        del call["latency_ms"]
    return fields
