"""What MLflow's scoring server sends when something goes wrong, asked as its own code asks the model."""

import json
import logging
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import invocations
from mlflow.tracking import MlflowClient

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.scoring_server import make_room
from eval.candidates import load_candidate
from eval.logged_model import log_agent

TEXT = "Zorbelund wins"


def logged(config: AgentConfig) -> PyFuncModel:
    with mlflow.start_run():
        return mlflow.pyfunc.load_model(log_agent(config).model_uri)


def sent(model: PyFuncModel, custom_inputs: object) -> tuple[int, dict[str, Any]]:
    """Status and body of what the server sends for a request that fails."""
    body = json.dumps({"input": [], "custom_inputs": custom_inputs}).encode()
    with pytest.raises(MlflowException) as raised:
        invocations(body, "application/json", model, model.metadata.get_input_schema())
    return raised.value.get_http_status_code(), json.loads(raised.value.serialize_as_json())


def test_what_goes_wrong_is_told_in_one_line_without_article_or_traceback(
    store: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key-at-all")
    model = logged(load_candidate(provider="openai"))
    monkeypatch.delenv("OPENAI_API_KEY")
    article = {"title": TEXT}
    wrong = sent(model, {"articles": TEXT})
    assert wrong[0] == 400
    assert wrong[1]["message"].startswith("'articles' must be a list of objects, not str. Send custom_inputs")
    without_key = sent(model, article)
    assert without_key[0] == 500
    assert without_key[1]["message"].startswith("OPENAI_API_KEY is not set. Set it in")

    def defect(*_: object) -> None:
        raise ZeroDivisionError(TEXT)

    monkeypatch.setattr(Classifier, "classify", defect)
    broken = sent(model, article)
    assert broken[0] == 500
    assert broken[1]["message"] == "A defect: ZeroDivisionError. The server's log says more."
    assert [record.exc_info for record in caplog.records if record.getMessage() == "A defect"]
    for _, body in (wrong, without_key, broken):
        assert TEXT not in str(body)
        assert "stack_trace" not in body


def test_elsewhere_nothing_is_done() -> None:
    before = list(logging.getLogger("uvicorn.error").filters)
    make_room(3)
    assert logging.getLogger("uvicorn.error").filters == before
