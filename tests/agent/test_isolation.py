import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.champion import load_champion, registered_model_name
from agent.config import AgentConfig
from agent.errors import ConfigError, IsolationError
from agent.fingerprint import PACKAGE
from agent.isolation import IsolatedModel
from agent.records import Article
from eval import logged_model
from eval.logged_model import log_agent

ARTICLES = [Article(id=f"a{n}", title="Club wins the cup final", content="The striker scored twice.") for n in range(3)]


def register_version(config: AgentConfig, name: str = "news_classifier") -> str:
    with mlflow.start_run():
        info = log_agent(config)
    return str(mlflow.register_model(info.model_uri, name).version)


@pytest.fixture
def champion(store: MlflowClient, agent_config: AgentConfig) -> MlflowClient:
    store.create_registered_model("news_classifier")
    store.set_registered_model_alias("news_classifier", "champion", register_version(agent_config))
    return store


def test_the_champion_answers_in_the_plain_form(champion: MlflowClient) -> None:
    with load_champion() as model:
        answer = model.classify(title="Club wins the cup final", content="The striker scored twice and fans sang.")
        assert answer.category == "Sports"
        assert [found.id for found in model.classify_many(ARTICLES)] == ["a0", "a1", "a2"]
        assert model.code.is_relative_to(model.model_path)


@pytest.mark.usefixtures("champion")
def test_a_plain_load_works_from_an_empty_directory_with_nothing_of_the_repository(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = """
import mlflow, sys
articles = [{"id": n, "title": "Club wins the cup final", "content": ""} for n in range(3)]
model = mlflow.pyfunc.load_model("models:/news_classifier@champion")
answer = model.predict({"input": [], "custom_inputs": {"articles": articles}})
print([record["id"] for record in answer["custom_outputs"]["classifications"]], sys.modules["agent"].__file__)
"""
    empty = tmp_path_factory.mktemp("empty")
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/mlflow.db"}
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=empty, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("[0, 1, 2] ")
    assert str(PACKAGE) not in found.stdout


def test_two_versions_that_differ_in_code_each_answer_with_their_own(
    store: MlflowClient, agent_config: AgentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: in one process, both would run the code of the version loaded first (mlflow issue 12395)."""
    store.create_registered_model("news_classifier")
    first = register_version(agent_config)
    changed = Path(shutil.copytree(PACKAGE, tmp_path / "changed" / "agent"))
    provider = changed / "providers" / "sklearn.py"
    text = provider.read_text(encoding="utf-8")
    assert 'stage="classify"' in text
    provider.write_text(text.replace('stage="classify"', 'stage="changed"'), encoding="utf-8")
    monkeypatch.setattr(logged_model, "PACKAGE", changed)
    second = register_version(agent_config)
    with (
        IsolatedModel(f"models:/news_classifier/{first}") as one,
        IsolatedModel(f"models:/news_classifier/{second}") as two,
    ):
        stages = [model.classify(title="Club wins").calls[0].stage for model in (one, two, one)]
        assert one.code != two.code
    assert stages == ["classify", "changed", "classify"]


@pytest.mark.usefixtures("store")
def test_a_missing_champion_is_one_clear_line() -> None:
    with pytest.raises(IsolationError, match="Cannot load 'models:/news_classifier@champion'"):
        load_champion()


def test_a_dead_process_is_reported_and_does_not_hang(champion: MlflowClient) -> None:
    with load_champion() as model:
        model._process.kill()
        model._process.wait()
        with pytest.raises(IsolationError, match="process of 'models:/news_classifier@champion'"):
            model.classify(title="Club wins")


def test_unity_catalog_gives_the_model_three_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UC_CATALOG", "main")
    monkeypatch.setenv("UC_SCHEMA", "news")
    assert registered_model_name() == "main.news.news_classifier"
    monkeypatch.delenv("UC_SCHEMA")
    with pytest.raises(ConfigError, match="Only one of UC_CATALOG and UC_SCHEMA"):
        registered_model_name()
    monkeypatch.delenv("UC_CATALOG")
    assert registered_model_name() == "news_classifier"
