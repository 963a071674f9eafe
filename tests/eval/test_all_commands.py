import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from serving.cli import main
from tests.conftest import ROOT
from tests.llm_server import LLMServer

DATA = str(ROOT / "data" / "sample_news.json")


@pytest.fixture
def two_candidates(store: MlflowClient, llm: LLMServer, workspace: Path, local_model: Path) -> Path:
    for path in (workspace / "config" / "agents").glob("*.yaml"):
        if path.stem not in ("external-openai", "local-sklearn"):
            path.unlink()
    file = workspace / "config" / "agents" / "local-sklearn.yaml"
    text = file.read_text(encoding="utf-8").replace("../../models/local-sklearn", str(local_model))
    file.write_text(text, encoding="utf-8")
    return file


def test_all_candidates_end_in_one_report_and_one_decision(two_candidates: Path, llm: LLMServer) -> None:
    done = CliRunner().invoke(main, ["eval", "all", "--data", DATA, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [each["agent"] for each in found["evaluations"]] == ["external-openai", "local-sklearn"]
    assert found["decision"]["verdict"] == "inconclusive", "ten articles decide nothing"
    page = Path(found["report"][0]).read_text(encoding="utf-8")
    assert "Inconclusive" in page
    assert "external-openai" in page
    asked = len(llm.requests)
    again = CliRunner().invoke(main, ["eval", "all", "--data", DATA, "--max-usd", "0.000001"])
    assert again.exit_code == 0, again.output
    assert "Inconclusive" in again.stdout
    assert len(llm.requests) == asked == 10, "the second time everything is in the journal, and costs nothing"


def test_one_that_fails_does_not_keep_the_others_from_being_compared(two_candidates: Path, llm: LLMServer) -> None:
    two_candidates.write_text(
        two_candidates.read_text(encoding="utf-8").replace("artifact:", "artifact: nowhere #"), encoding="utf-8"
    )
    done = CliRunner().invoke(main, ["eval", "all", "--data", DATA, "--json"])
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    assert list(found["problems"]) == ["local-sklearn"]
    assert [each["agent"] for each in found["evaluations"]] == ["external-openai"]
    again = CliRunner().invoke(main, ["eval", "run", "--provider", "openai", "--data", DATA])
    assert "calls: 0 fresh, 10 from the journal" in again.stdout
    refused = CliRunner().invoke(main, ["eval", "all", "--provider", "openai"])
    assert refused.exit_code == 2
