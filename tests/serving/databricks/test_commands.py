"""The command, on versions that are really registered in Unity Catalog, on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from eval.store import open_store
from serving.cli import main
from tests.conftest import ROOT, hears_interrupts
from tests.registry.stores import NAME, Logged, Place, open_place
from tests.serving_endpoints_server import ServingServer

WAIT_S = 60


@pytest.fixture
def place(echo: Logged, server: ServingServer) -> Place:
    """Version 1 is champion and asks nobody; version 2 is challenger and asks OpenAI. Runs are in SQLite."""
    place = open_place(echo)
    place.registry.set_alias("champion", place.register(provider="sklearn"))
    place.registry.set_alias("challenger", place.register(provider="openai"))
    server.polls = 0
    return place


def serve(*words: str) -> Result:
    return CliRunner().invoke(main, ["serve", "databricks", *words], catch_exceptions=False)


def shares(body: dict[str, Any]) -> dict[str, int]:
    routes = body["config"]["traffic_config"]["routes"]
    return {route["served_entity_name"]: route["traffic_percentage"] for route in routes}


def test_the_dry_run_shows_the_endpoint_of_both_aliases_and_changes_nothing(
    place: Place, server: ServingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-real-key-of-openai")
    result = serve("--dry-run", "--json")
    assert result.exit_code == 0
    [request] = json.loads(result.stdout)["requests"]
    assert (request["method"], request["path"]) == ("POST", "/api/2.0/serving-endpoints")
    assert shares(request["body"]) == {"news_classifier-1": 90, "news_classifier-2": 10}
    first, second = request["body"]["config"]["served_entities"]
    assert (first["entity_name"], first["entity_version"], second["entity_version"]) == (NAME, "1", "2")
    assert "OPENAI_API_KEY" not in first["environment_vars"]
    assert second["environment_vars"]["OPENAI_API_KEY"] == "{{secrets/news-classifier-secrets/openai-api-key}}"
    assert "the-real-key" not in result.output
    assert server.sent == []
    assert "version 1 (90 %) and version 2 (10 %)" in result.stderr


def test_what_the_dry_run_shows_is_what_is_sent(place: Place, server: ServingServer) -> None:
    shown = json.loads(serve("--dry-run", "--json", "--challenger", "25").stdout)["requests"]
    result = serve("--json", "--challenger", "25")
    assert result.exit_code == 0
    assert [[one["method"], one["path"], one["body"]] for one in shown] == [list(one) for one in server.sent]
    found = json.loads(result.stdout)
    assert found["action"] == "created"
    assert found["url"] == f"{server.url}/serving-endpoints/news-classifier/invocations"
    assert found["served"] == [{"version": "1", "percent": 75}, {"version": "2", "percent": 25}]
    assert [answer["category"] for answer in found["smoke_test"]] == ["Sports"] * 3


def test_the_share_of_an_endpoint_can_be_changed_as_that_of_a_server(place: Place, server: ServingServer) -> None:
    serve()
    words = ["serve", "traffic", "--on", "databricks", "--challenger", "30", "--json"]
    changed = CliRunner().invoke(main, words, catch_exceptions=False)
    assert json.loads(changed.stdout)["served"] == [{"version": "1", "percent": 70}, {"version": "2", "percent": 30}]
    refused = CliRunner().invoke(main, [*words, "--shadow", "5"])
    assert refused.exit_code == 2
    assert "endpoints have no shadow" in refused.stderr


def test_a_promotion_is_brought_there_by_the_next_deployment(place: Place, server: ServingServer) -> None:
    assert "created: version 1 (90 %) and version 2 (10 %)" in serve().stdout
    place.registry.put_aliases({"champion": "2", "defeated": "1"})
    assert "updated: version 2 (100 %), tried and answering" in serve().stdout
    assert "unchanged" in serve().stdout
    assert serve("--dry-run").stdout == "Nothing to send: news-classifier serves version 2 (100 %) already.\n"


def test_a_failure_is_one_line_with_what_stands_and_exit_code_3(place: Place, server: ServingServer) -> None:
    serve("--challenger", "0")
    server.says["2"] = "Business"
    result = serve("--challenger", "10")
    assert result.exit_code == 3
    assert "Reverted: version 1 (100 %) served again." in result.stderr


def test_no_endpoint_before_there_is_a_champion(server: ServingServer) -> None:
    result = serve()
    assert result.exit_code == 3
    assert f"{NAME} has no champion to serve. Make one first" in result.stderr
    assert server.sent == []


def test_a_challenger_that_was_asked_for_and_is_none_is_an_error(place: Place, server: ServingServer) -> None:
    place.registry.delete_alias("challenger")
    assert "has no challenger to give 10 % to" in serve("--challenger", "10").stderr
    assert server.sent == []
    assert "created: version 1 (100 %)" in serve().stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--challenger", "100"], "0<=x<=99"),
        (["--with-agents", "--challenger", "10"], "serves the champion alone"),
        (["--name", "a b", "--dry-run"], "'endpoint' has the value 'a b'"),
    ],
)
def test_wrong_options_are_refused(workspace: Path, words: list[str], problem: str) -> None:
    result = serve(*words)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_a_dry_run_needs_no_workspace(store: MlflowClient, tmp_path: Path) -> None:
    open_store()
    store.create_registered_model("news_classifier")
    for alias, provider in (("champion", "sklearn"), ("challenger", "anthropic")):
        made = store.create_model_version("news_classifier", source=str(tmp_path), tags={"provider": provider})
        store.set_registered_model_alias("news_classifier", alias, str(made.version))
    result = serve("--dry-run", "--json")
    assert "No workspace was asked" in result.stderr
    [request] = json.loads(result.stdout)["requests"]
    assert shares(request["body"]) == {"news_classifier-1": 90, "news_classifier-2": 10}
    [call] = json.loads(serve("--dry-run", "--json", "--with-agents").stdout)["requests"]
    assert (call["path"], call["body"]["model_version"]) == ("databricks.agents.deploy", 1)
    result = serve()
    assert result.exit_code == 2
    assert "Set MLFLOW_REGISTRY_URI=databricks-uc" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_deployment_is_finished_by_the_same_command(
    place: Place, server: ServingServer, number: signal.Signals
) -> None:
    server.polls = 10_000
    command = [sys.executable, "-m", "serving.cli", "serve", "databricks"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=hears_interrupts
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if "IN_PROGRESS" in line:
                break
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(WAIT_S) != 0
    if number != signal.SIGKILL:
        assert "Interrupted. Databricks goes on with what news-classifier was told" in said
    server.endpoints["news-classifier"].polls = 0
    server.sent.clear()
    started = time.monotonic()
    assert "unchanged: version 1 (90 %) and version 2 (10 %), tried" in serve().stdout
    assert server.sent == []
    assert time.monotonic() - started < WAIT_S
