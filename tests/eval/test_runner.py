import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import ArtifactError
from eval.files import inert
from eval.labeled_set import LabeledSet
from eval.runner import evaluate
from eval.tags import COMPLETE_TAG
from eval.tracking import tracked_run

FILES = {
    "classification_report.csv",
    "classification_report.txt",
    "confusion_matrix_category.csv",
    "confusion_matrix_category.png",
    "confusion_matrix_sentiment.csv",
    "confusion_matrix_sentiment.png",
    "evaluation.json",
    "pr_curve.png",
    "predictions.csv",
    "predictions.json",
    "report.html",
    "report.md",
    "roc_curve.png",
}


def test_one_run_holds_everything(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, tmp_path: Path
) -> None:
    seen: list[int] = []
    record = evaluate(agent_config, sample_set, tags={"team": "desk"}, watch=lambda now: seen.append(now.done))
    run = store.get_run(record.run_id)
    assert seen == list(range(1, 11))
    assert run.info.status == "FINISHED"
    assert store.get_experiment(run.info.experiment_id).name == "news-classifier-local"
    assert run.info.run_name.startswith("local_news-sklearn_2")
    assert run.data.tags | {"team": "desk", COMPLETE_TAG: "true", "provider": "sklearn"} == run.data.tags
    assert run.data.params["dataset_digest"] == sample_set.digest
    assert run.data.params["articles"] == "10"
    for name, value in record.metrics.items():
        assert run.data.metrics[name] == pytest.approx(value), name
    assert {
        "category_accuracy_ci_low",
        "joint_macro_f1",
        "sentiment_f1.Positive",
        "category_roc_auc",
        "cost_usd",
    } < set(record.metrics)
    assert run.data.metrics["mlflow_category_accuracy_score"] == pytest.approx(record.metrics["category_accuracy"])
    assert run.inputs.dataset_inputs[0].dataset.digest == sample_set.digest[:32]
    names = {entry.path for entry in store.list_artifacts(record.run_id)}
    assert names >= FILES
    assert set(record.artifacts) == FILES
    written = json.loads(mlflow.artifacts.load_text(f"runs:/{record.run_id}/evaluation.json"))
    assert written == record.model_dump(mode="json")


def test_the_logged_model_and_its_predictions_are_the_ones_that_were_scored(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet
) -> None:
    record = evaluate(agent_config, sample_set)
    table = pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{record.run_id}/predictions.csv"))
    assert (table.gold_category == table.predicted_category).mean() == pytest.approx(
        record.metrics["category_accuracy"]
    )
    info = mlflow.models.get_model_info(record.model_uri)
    assert info.run_id == record.run_id
    folder = Path(mlflow.artifacts.download_artifacts(record.model_uri))
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in line for line in requirements)
    assert any(line.startswith("scipy==") for line in requirements)
    assert not list(folder.rglob("__pycache__"))
    assert (folder / "input_example.json").exists()


def test_wrong_input_logs_nothing(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, tmp_path: Path
) -> None:
    broken = agent_config.model_copy(update={"artifact": tmp_path / "nowhere"})
    with pytest.raises(ArtifactError, match="nowhere"):
        evaluate(broken, sample_set)
    assert [experiment.name for experiment in store.search_experiments()] == ["Default"]


def test_a_crash_ends_the_run_failed(store: MlflowClient) -> None:
    with pytest.raises(RuntimeError), tracked_run("news-classifier-local", "crash", join=True) as run:
        raise RuntimeError("lost power")
    assert store.get_run(run.info.run_id).info.status == "FAILED"


def test_the_run_of_mlflow_run_is_joined_in_its_own_experiment(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: MLflow issue 2735, set_experiment and then start_run raise under `mlflow run`."""
    experiment = store.create_experiment("somebody's project")
    given = store.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    with tracked_run("news-classifier-local", "training", join=False) as child:
        assert child.info.run_id != given
    assert evaluate(agent_config, sample_set).run_id == given
    assert os.environ["MLFLOW_RUN_ID"] == given
    assert store.get_run(given).data.tags[COMPLETE_TAG] == "true"
    assert store.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == given
    assert store.get_run(child.info.run_id).info.experiment_id == experiment


def test_text_that_a_spreadsheet_would_run_is_inert() -> None:
    assert inert('=HYPERLINK("http://example.org")') == '\'=HYPERLINK("http://example.org")'
    assert [inert(text)[0] for text in ("+1", "-1", "@a", "\tb")] == ["'"] * 4
    assert inert("Rates rise") == "Rates rise"


def test_killed_in_the_middle_the_run_is_not_finished_and_cannot_be_registered(
    store: MlflowClient, workspace: Path, local_model: Path, labels: object
) -> None:
    agent_file = workspace / "config" / "agents" / "local-sklearn.yaml"
    text = agent_file.read_text(encoding="utf-8").replace("../../models/local-sklearn", str(local_model))
    agent_file.write_text(text, encoding="utf-8")
    script = """
import os, signal, sys
from eval import recording
from serving.cli import main
recording.log_agent = lambda config: os.kill(os.getpid(), signal.SIGKILL)
main(["eval", "run", "--data", sys.argv[1]])
"""
    data = Path(__file__).resolve().parents[2] / "data" / "sample_news.json"
    killed = subprocess.run([sys.executable, "-c", script, str(data)], capture_output=True)
    assert killed.returncode == -9
    experiment = store.get_experiment_by_name("news-classifier-local")
    assert experiment
    [run] = store.search_runs([experiment.experiment_id])
    assert run.info.status == "RUNNING"
    assert COMPLETE_TAG not in run.data.tags
    refused = subprocess.run(
        [sys.executable, "-m", "serving.cli", "registry", "register", run.info.run_id], capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "no complete evaluation" in refused.stderr
    assert subprocess.run([sys.executable, "-m", "serving.cli", "eval", "run", "--data", str(data)]).returncode == 0
