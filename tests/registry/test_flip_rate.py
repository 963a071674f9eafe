"""The label flip rate that a gate judges is that of the candidate's own red-team run."""

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.settings import parse_settings
from eval.evaluation import CandidateRecord
from eval.tags import MODEL_HASH_TAG, REDTEAM
from eval.tracking import experiment_id
from registry.gates.config import GatesConfig
from registry.measurements import gates_of
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation

RULES = parse_settings({"gates": {"label_flip_rate": {"at_most": 0.05}}}, GatesConfig, ROOT / "gates.yaml")


def attack(candidate: CandidateRecord, rate: float, model_hash: str | None = None) -> None:
    with mlflow.start_run(experiment_id=experiment_id("news-classifier-local")):
        mlflow.log_params({"config_hash": candidate.config_hash, "code_hash": candidate.code_hash})
        mlflow.set_tags({"kind": REDTEAM, MODEL_HASH_TAG: model_hash or candidate.model_hash})
        mlflow.log_metrics({"label_flip_rate": rate, "compared": 176.0, "articles": 176.0})


@pytest.mark.parametrize(("rate", "passed"), [(0.05, True), (0.06, False)])
def test_the_newest_red_team_run_of_the_same_model_counts(store: MlflowClient, rate: float, passed: bool) -> None:
    evaluation = log_evaluation(0.95)
    [missing, _] = gates_of(evaluation, RULES)
    assert (missing.passed, missing.reason) == (False, "label_flip_rate is missing")
    attack(evaluation.candidate, 0.5)
    attack(evaluation.candidate, rate)
    attack(evaluation.candidate, 0.0, model_hash="another model")
    [verdict, _] = gates_of(evaluation, RULES)
    assert verdict.passed is passed
    assert verdict.numbers["label_flip_rate"] == rate
