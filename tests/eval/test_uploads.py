import json
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import DataError
from eval import uploads
from eval.labeled_set import LabeledSet
from eval.runner import evaluate
from eval.runs import load_evaluation, load_predictions
from eval.uploads import KEPT_FOLDER, upload
from registry.register import registrable

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def kept(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of an evaluation that was made while MLflow was away."""
    here = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    record = evaluate(agent_config, sample_set, tags={"team": "desk"})
    assert (record.run_id, record.model_uri) == (None, None)
    with pytest.raises(DataError, match="not in MLflow yet"):
        registrable(record)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", here)
    return KEPT_FOLDER / record.run_name


def test_what_was_kept_is_uploaded_once_with_its_model(kept: Path, store: MlflowClient) -> None:
    assert {"evaluation.json", "predictions.csv", "report.html", "kept.json"} <= {path.name for path in kept.iterdir()}
    record = upload(kept)
    assert record.run_id
    assert record.model_uri
    run = store.get_run(record.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["team"] == "desk"
    assert run.data.metrics["category_accuracy"] == record.metrics["category_accuracy"]
    assert load_evaluation(record.run_id) == registrable(record)
    assert len(load_predictions(record.run_id)) == 10
    model = mlflow.pyfunc.load_model(record.model_uri)
    answer = model.predict({"input": [], "custom_inputs": {"title": "Club wins the cup", "content": "Two goals."}})
    assert answer["custom_outputs"]["classifications"][0]["category"]
    with pytest.raises(DataError, match="uploaded already"):
        upload(kept)


def test_other_code_than_was_measured_is_not_uploaded_as_if_it_were(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "code_hash", lambda: "0" * 64)
    with pytest.raises(DataError, match="other code"):
        upload(kept)


def test_a_folder_that_holds_no_evaluation_is_refused(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no evaluation that was kept"):
        upload(tmp_path)
    content = json.loads((kept / "evaluation.json").read_text(encoding="utf-8"))
    (kept / "evaluation.json").write_text(json.dumps(content | {"schema_version": 99}), encoding="utf-8")
    with pytest.raises(DataError, match="no evaluation that was kept"):
        upload(kept)
