"""An LLM service on loopback that knows the labels of the sample articles, with the keys of all three providers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from agent.labels import LabelSet
from eval.labeled_set import LabeledSet, load_labeled_set
from tests.conftest import ROOT
from tests.eval.logged_runs import LoggedRuns
from tests.llm_server import LLMServer

KEY = f"sk-{'test' * 5}"
WRONG_KEY = f"sk-{'wrong' * 5}"


def provider_environment(server: LLMServer) -> dict[str, str]:
    """What a person would set to use this service as all three providers."""
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": server.url,
        "DATABRICKS_HOST": server.url,
        "DATABRICKS_TOKEN": KEY,
    }


def gold_of_sample(prompt: str) -> tuple[str, str]:
    """The gold labels of the sample article in a prompt."""
    rows = json.loads((ROOT / "data" / "sample_news.json").read_text(encoding="utf-8"))
    return next(
        ((row["expected_category"], row["expected_sentiment"]) for row in rows if row["title"] in prompt),
        ("Politics", "Neutral"),
    )


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    with LLMServer(api_key=KEY) as server:
        server.answers = gold_of_sample
        for name, value in provider_environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def news(labels: LabelSet) -> LabeledSet:
    """The shipped evaluation articles."""
    return load_labeled_set(ROOT / "data" / "labeled_news.jsonl", labels)


@pytest.fixture
def runs(store: MlflowClient, labels: LabelSet, tmp_path: Path) -> LoggedRuns:
    return LoggedRuns(labels, tmp_path)
