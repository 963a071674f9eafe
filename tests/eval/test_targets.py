"""Versions as targets: whatever their address, their own code answers, and nothing else is evaluated."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.errors import DataError, IsolationError
from agent.fingerprint import PACKAGE, code_hash
from agent.journal import Journal
from agent.providers import Pace
from eval import logged_model
from eval.candidates import load_candidate
from eval.labeled_set import LabeledSet
from eval.logged_model import log_agent
from eval.runner import evaluate
from eval.targets import Target
from serving.cli import main
from tests.eval.test_resume import command
from tests.llm_server import LLMServer

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample_news.json"
Changed = Callable[[str, str, str], Path]


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changed:
    """What is logged from now on is the package with one text in one file replaced."""

    def change(name: str, old: str, new: str) -> Path:
        package = Path(shutil.copytree(PACKAGE, tmp_path / "changed" / "agent"))
        text = (package / name).read_text(encoding="utf-8")
        assert old in text
        (package / name).write_text(text.replace(old, new), encoding="utf-8")
        monkeypatch.setattr(logged_model, "PACKAGE", package)
        return package

    return change


def logged(config: AgentConfig) -> str:
    """URI of the model, which becomes the champion."""
    with mlflow.start_run():
        info = log_agent(config)
    version = mlflow.register_model(info.model_uri, "news_classifier").version
    MlflowClient().set_registered_model_alias("news_classifier", "champion", str(version))
    assert info.model_uri
    return str(info.model_uri)


@pytest.mark.slow
def test_every_address_of_a_local_version_runs_its_own_code(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, changed: Changed
) -> None:
    package = changed("providers/sklearn.py", 'stage="classify"', 'stage="changed"')
    model_uri = logged(agent_config)
    own = code_hash(package)
    assert own != code_hash()
    run_id = mlflow.models.get_model_info(model_uri).run_id
    champion = "models:/news_classifier@champion"
    done = command("eval", "run", "--agent", champion, "--data", SAMPLE, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    version = MlflowClient().get_model_version_by_alias("news_classifier", "champion").version
    assert (record["model_uri"], record["candidate"]["code_hash"]) == (f"models:/news_classifier/{version}", own)
    answers = mlflow.artifacts.load_dict(f"runs:/{record['run_id']}/predictions.json")
    assert {call["stage"] for row in answers for call in row["answer"]["calls"]} == {"changed"}
    articles = [row.article for row in sample_set.rows]
    here = dict(Classifier(agent_config).classify(articles))
    for uri in (model_uri, f"runs:/{run_id}/agent"):
        with closing(Target.of_version(uri)) as target:
            found = dict(target.classify(articles, Pace(1)))
        assert target.code_hash == own
        assert {call.stage for answer in found.values() for call in answer.calls} == {"changed"}
        assert {n: answer.category for n, answer in found.items()} == {n: here[n].category for n in here}


def test_a_version_of_an_llm_runs_its_own_code_and_shares_the_journal(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, changed: Changed
) -> None:
    changed("providers/llm.py", 'stage="classify"', 'stage="changed"')
    model_uri = logged(load_candidate(provider="openai"))
    record = evaluate("models:/news_classifier/1", sample_set)
    answers = mlflow.artifacts.load_dict(f"runs:/{record.run_id}/predictions.json")
    assert {call["stage"] for row in answers for call in row["answer"]["calls"]} == {"changed"}
    assert (record.fresh_calls, record.cached_calls) == (10, 0)
    assert record.metrics["category_accuracy"] == 1.0
    with closing(Target.of_version(model_uri)) as target, Journal(Path("journal.db")) as journal:
        again = dict(target.classify([row.article for row in sample_set.rows], Pace(4, journal=journal)))
    assert all(call.cached for answer in again.values() for call in answer.calls)
    assert len(llm.requests) == 10


def test_code_that_is_not_what_was_logged_is_refused(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet
) -> None:
    """Regression: the file that MLflow runs lies outside of the package and was not looked at."""
    folder = Path(mlflow.artifacts.download_artifacts(logged(agent_config)))
    for file in ("code/agent/labels.py", "model.py", "code/agent/extra.py"):
        before = (folder / file).read_bytes() if (folder / file).exists() else None
        with (folder / file).open("a", encoding="utf-8") as opened:
            opened.write("\n# changed\n")
        with pytest.raises(IsolationError, match="was changed, or logged by another version"):
            evaluate("models:/news_classifier@champion", sample_set)
        (folder / file).unlink() if before is None else (folder / file).write_bytes(before)
    assert store.get_experiment_by_name("news-classifier-local") is None
    Target.of_version("models:/news_classifier@champion").close()


@pytest.mark.parametrize("uri", ["models:/nothing@champion", f"runs:/{'0' * 32}/agent"])
@pytest.mark.usefixtures("store")
def test_an_address_that_leads_nowhere_is_one_clear_line(uri: str) -> None:
    done = command("eval", "run", "--agent", uri, "--data", SAMPLE)
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: Cannot load '{uri}'")
    assert "Traceback" not in done.stderr


def test_labels_that_a_version_does_not_know_are_said(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet
) -> None:
    """Regression: a gold label that came after the version was a KeyError."""
    logged(agent_config)
    rows = [row._replace(gold={**row.gold, "category": "Weather"}) for row in sample_set.rows[:1]]
    with pytest.raises(DataError, match="'Weather'"):
        evaluate("models:/news_classifier@champion", sample_set._replace(rows=(*rows, *sample_set.rows[1:])))
    assert store.get_experiment_by_name("news-classifier-local") is None


def test_a_version_does_not_ignore_that_its_key_is_to_come_from_the_secret_scope(workspace: Path) -> None:
    done = CliRunner().invoke(main, ["eval", "run", "--agent", "models:/news_classifier@champion", "--use-secrets"])
    assert done.exit_code == 2
    assert "a logged version takes its key from the environment" in " ".join(done.stderr.split())
