"""Approval by a tag of the version, as a deployment job of Databricks gives it."""

from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from agent.errors import DataError, RegistryError
from agent.settings import read_settings
from eval.evaluation import LoggedEvaluation
from registry.evidence import file_of
from registry.gates.config import GatesConfig
from registry.ledger import Ledger
from registry.promotion import Consent, Promoter, Refused
from registry.register import register
from registry.tag_approval import approved_by_tag, request_approval, review_tag
from registry.versions import EVIDENCE_TAG, Registry
from serving.cli import main
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation, unexpected

GATES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
MODEL, TASK = "news_classifier", "Approval_Check"


def add(accuracy: float) -> LoggedEvaluation:
    evaluation = log_evaluation(accuracy)
    register(evaluation, GATES, remeasure=unexpected)
    return evaluation


@pytest.fixture
def challenger(store: MlflowClient) -> LoggedEvaluation:
    """The evaluation of version 2, which waits for approval; version 1 is champion."""
    add(0.91)
    return add(0.94)


def ask(store: MlflowClient) -> None:
    request_approval(Promoter(store, GATES, unexpected).review(), TASK, store)


def approve(store: MlflowClient, value: str = "Approved", version: str = "2", tag: str = TASK) -> None:
    """As the button in Databricks does it."""
    store.set_model_version_tag(MODEL, version, tag, value)


def promote(store: MlflowClient, approver: str | None = None, reason: str | None = None) -> Consent:
    promoter = Promoter(store, GATES, unexpected)
    review = promoter.review()
    consent = approved_by_tag(review, TASK, approver, reason, store)
    promoter.promote(review, consent)
    return consent


def refusal(store: MlflowClient) -> str:
    """Why a promotion is refused. Nothing is decided then, and no alias moves."""
    before = aliases(store), len(Ledger(MODEL, store).read().entries)
    with pytest.raises(RegistryError) as error:
        promote(store)
    assert (aliases(store), len(Ledger(MODEL, store).read().entries)) == before
    return str(error.value)


def aliases(store: MlflowClient) -> dict[str, str]:
    return Registry(MODEL, store).aliases()


def tags(store: MlflowClient, version: str) -> dict[str, str]:
    return dict(store.get_model_version(MODEL, version).tags)


@pytest.mark.parametrize("value", ["approved", "Approved"])
def test_what_was_asked_and_approved_is_promoted(store: MlflowClient, challenger: LoggedEvaluation, value: str) -> None:
    ask(store)
    approve(store, value)
    consent = promote(store)
    assert (consent.by, consent.how) == ("the tag Approval_Check", "tag")
    assert aliases(store) == {"champion": "2", "defeated": "1"}
    last = Ledger(MODEL, store).read().entries[-1]
    assert (last.action, last.version, last.how, last.by) == ("promote", "2", "tag", "the tag Approval_Check")
    assert last.approved == tags(store, "2")[review_tag(TASK)]


def test_whoever_promotes_can_say_who_approved_and_why(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    promote(store, "A. Person", "ticket 7")
    last = Ledger(MODEL, store).read().entries[-1]
    assert (last.how, last.by, last.reason) == ("tag", "A. Person", "ticket 7")


def test_a_tag_that_nobody_asked_for_approves_nothing(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    approve(store)
    assert "Nobody asked for approval by the tag 'Approval_Check' of version 2" in refusal(store)


def test_asked_is_not_approved(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    assert "its tag 'Approval_Check' is None, 'approved' is needed" in refusal(store)


def test_only_one_word_approves(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    for value in ("", "rejected", "not approved", "true"):
        approve(store, value)
        assert f"its tag 'Approval_Check' is {value!r}, 'approved' is needed" in refusal(store)


def test_the_tag_of_another_version_or_task_approves_nothing(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store, version="1")
    approve(store, tag="Approval_Legal")
    assert "Version 2 is not approved" in refusal(store)


def test_another_registration_voids_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    add(0.92)
    assert aliases(store) == {"champion": "1", "challenger": "2", "candidate": "3"}
    assert "is not what would be promoted now" in refusal(store)


def test_a_better_challenger_does_not_inherit_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    add(0.96)
    assert aliases(store)["challenger"] == "3"
    assert "Nobody asked for approval by the tag 'Approval_Check' of version 3" in refusal(store)


def test_other_gates_void_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    other = GATES.model_copy(update={"challenger": GATES.challenger.model_copy(update={"improvement": 0.01})})
    review = Promoter(store, other, unexpected).review()
    with pytest.raises(Refused, match="is not what would be promoted now"):
        approved_by_tag(review, TASK, None, None, store)


def test_a_byte_of_the_predictions_voids_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    add_byte(store, challenger.run_id, "predictions.csv")
    assert "the predictions changed since" in refusal(store)


def test_a_byte_of_the_evidence_voids_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    add_byte(store, challenger.run_id, file_of(tags(store, "2")[EVIDENCE_TAG]))
    assert "was changed after it was written" in refusal(store)


def test_a_byte_of_the_model_voids_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    with (Path(mlflow.artifacts.download_artifacts(challenger.model_uri)) / "config.yaml").open("a") as file:
        file.write("\n")
    assert "the model's files changed since" in refusal(store)


def add_byte(store: MlflowClient, run_id: str, file: str) -> None:
    store.log_text(run_id, mlflow.artifacts.load_text(f"runs:/{run_id}/{file}") + "\n", file)


def test_asking_again_withdraws_an_approval(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    ask(store)
    approve(store)
    ask(store)
    assert TASK not in tags(store, "2")
    assert "its tag 'Approval_Check' is None" in refusal(store)
    approve(store)
    promote(store)
    assert aliases(store)["champion"] == "2"


def test_a_task_that_is_no_name_of_a_tag_is_refused(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    review = Promoter(store, GATES, unexpected).review()
    before = tags(store, "2")
    for task in ("", "two words", "Approval-Check", "a.b", "a/b", "a:b", "a=b", "a\n", "é", "a" * 201):
        with pytest.raises(DataError, match="no name of a tag"):
            request_approval(review, task, store)
        with pytest.raises(DataError, match="no name of a tag"):
            approved_by_tag(review, task, None, None, store)
    assert tags(store, "2") == before


def test_a_deployment_job_by_its_commands(store: MlflowClient, challenger: LoggedEvaluation) -> None:
    def run(*words: str) -> int:
        return CliRunner().invoke(main, ["registry", *words]).exit_code

    assert run("review", "--for-tag", TASK) == 0
    assert run("promote", "--approved-by-tag", TASK) == 1
    approve(store)
    assert run("promote", "--approved-by-tag", TASK) == 0
    assert aliases(store) == {"champion": "2", "defeated": "1"}
    assert run("verify") == 0
