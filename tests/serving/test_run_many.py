"""Several candidates in one command: who runs, what one failure does to the rest, and what is told at the end."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from serving.cli import main
from tests.conftest import ROOT
from tests.eval.conftest import KEY, gold_of_sample, provider_environment
from tests.llm_server import LLMServer

KEPT = ("external-openai", "external-openai-gpt-6-luna", "external-anthropic-opus-4-1", "internal-databricks")
SAMPLE = ("--data", "data/sample_news.json")


@pytest.fixture
def service(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    """Four candidates and the ten sample articles in the workspace, and a service with the keys."""
    for path in (workspace / "config" / "agents").glob("*.yaml"):
        if path.stem not in KEPT:
            path.unlink()
    (workspace / "data").mkdir()
    shutil.copy(ROOT / "data" / "sample_news.json", workspace / "data")
    with LLMServer(api_key=KEY) as server:
        server.answers = gold_of_sample
        for name, value in provider_environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, *SAMPLE])


def test_all_candidates_with_a_key_run_although_one_fails(store: MlflowClient, service: LLMServer) -> None:
    service.models = {"gpt-4o-mini", "databricks-gpt-oss-20b"}
    done = invoke("run", "--track", "all", "--json")
    assert done.exit_code == 1
    results = {entry["agent"]: entry for entry in json.loads(done.stdout)["candidates"]}
    assert list(results) == ["external-openai", "external-openai-gpt-6-luna", "internal-databricks"]
    assert "'gpt-6-luna'" in results["external-openai-gpt-6-luna"]["problem"]
    assert results["external-openai"]["registration"]["alias"] == "champion"
    assert results["internal-databricks"]["registration"]["alias"] == "candidate"
    assert "external-anthropic-opus-4-1. claude-opus-4-1-20250805 was retired" in done.stderr
    assert KEY not in done.output


def test_candidates_without_a_key_are_left_out_by_name(
    store: MlflowClient, service: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    done = invoke("run", "--track", "all", "--no-register")
    assert done.exit_code == 0, done.output
    assert "Left out: internal-databricks. Databricks cannot be signed in to" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines if line and line[-1] == "evaluated"] == list(KEPT[:2])


def test_both_are_the_defaults_of_the_two_llm_tracks(store: MlflowClient, service: LLMServer) -> None:
    done = invoke("run", "--track", "both", "--provider", "openai", "--model", "databricks-any", "--json")
    assert done.exit_code == 0, done.output
    asked = {str(received.body["model"]) for received in service.requests if received.body}
    assert asked == {"gpt-4o-mini", "databricks-any"}


def test_no_candidate_at_all_is_said(store: MlflowClient, service: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DATABRICKS_TOKEN", "DATABRICKS_HOST"):
        monkeypatch.delenv(name)
    done = invoke("run", "--track", "all")
    assert done.exit_code == 2
    assert "No candidate can run" in done.stderr
