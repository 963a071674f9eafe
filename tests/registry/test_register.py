from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent.errors import DataError, RegistryError
from agent.settings import read_settings
from eval.evaluation import EVALUATION_FILE, EvaluationRecord, LoggedEvaluation
from eval.runs import whole_evaluation
from registry.gates.config import GatesConfig
from registry.history import History
from registry.ledger import Ledger
from registry.register import Approval, Approver
from registry.register import register as register_candidate
from registry.registrar import Registration
from registry.versions import REGISTERED_AS_TAG, Registry, Snapshot
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation, unexpected

GATES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)


def register(
    evaluation: EvaluationRecord, rules: GatesConfig = GATES, *, approve: Approver | None = None
) -> Registration:
    """Register where nothing needs to be measured again."""
    return register_candidate(evaluation, rules, remeasure=unexpected, approve=approve)


def history() -> History:
    return Ledger("news_classifier", MlflowClient()).read()


def snapshot() -> Snapshot:
    return Registry("news_classifier", MlflowClient()).snapshot()


def aliases() -> dict[str, str]:
    return dict(snapshot().aliases)


def test_the_first_version_that_passes_becomes_champion(store: MlflowClient) -> None:
    done = register(log_evaluation(0.92))
    assert (done.version, done.alias) == ("1", "champion")
    assert aliases() == {"champion": "1"}
    [version] = snapshot().versions
    assert version.tags["track"] == "C"
    assert version.tags["production_ready"] == "true"
    assert float(version.tags["category_accuracy"]) == 0.92
    assert version.tags["dataset_digest"] == "d1"
    assert version.tags[REGISTERED_AS_TAG] == "champion"
    [entry] = history().entries
    assert (entry.action, entry.version, entry.after) == ("register", "1", {"champion": "1"})


def test_one_that_fails_a_gate_is_registered_without_alias(store: MlflowClient) -> None:
    done = register(log_evaluation(0.89))
    assert (done.version, done.alias) == ("1", None)
    assert aliases() == {}
    assert snapshot().versions[0].tags["production_ready"] == "false"
    assert "category_accuracy 0.8900 < 0.9000" in snapshot().versions[0].tags["validation_reason"]
    assert register(log_evaluation(0.91)).alias == "champion"


def test_two_points_make_a_challenger_less_makes_a_candidate(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    assert register(log_evaluation(0.9285)).alias == "candidate"
    assert register(log_evaluation(0.93)).alias == "challenger"
    assert register(log_evaluation(0.96, sentiment=0.84)).alias == "candidate"
    assert aliases() == {"champion": "1", "challenger": "3", "candidate": "4"}


def test_a_better_challenger_displaces_the_waiting_one_a_worse_one_does_not(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.94))
    assert register(log_evaluation(0.935)).alias == "candidate"
    assert register(log_evaluation(0.96)).alias == "challenger"
    assert aliases() == {"champion": "1", "challenger": "4", "candidate": "2"}


def test_identical_performance_is_not_registered_again(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    again = register(log_evaluation(0.9105))
    assert again.version is None
    assert again.proposal.duplicate_of
    assert again.proposal.duplicate_of.number == "1"
    assert len(snapshot().versions) == 1
    cheaper = register(log_evaluation(0.9105, latency_ms_p95=1.0))
    assert cheaper.version == "2"


def test_figures_of_other_rows_are_never_compared(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    measured = []

    def remeasure(uri: str, like: EvaluationRecord) -> LoggedEvaluation:
        measured.append((uri, like.dataset.digest))
        return log_evaluation(0.95, digest="d2", model_uri=uri)

    candidate = log_evaluation(0.96, digest="d2")
    done = register_candidate(candidate, GATES, remeasure=remeasure)
    assert measured == [("models:/news_classifier/1", "d2")]
    assert done.alias == "candidate"
    assert "+1.00 points on the champion" in done.reason
    better = register(log_evaluation(0.97, digest="d2"))  # found again, and not measured a second time
    assert better.alias == "challenger"


def test_a_champion_that_cannot_be_measured_on_the_rows_decides_nothing(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    for again in (
        log_evaluation(0.5, digest="d3"),
        log_evaluation(0.9, digest="d2").model_copy(update={"partial": "x"}),
    ):
        with pytest.raises(RegistryError, match="could not be measured on the rows"):
            register_candidate(log_evaluation(0.99, digest="d2"), GATES, remeasure=lambda uri, like, again=again: again)
    assert aliases() == {"champion": "1"}
    assert len(snapshot().versions) == 1


def test_a_person_can_refuse_approve_and_override(store: MlflowClient) -> None:
    refused = register(log_evaluation(0.91), approve=lambda proposal: Approval(False))
    assert (refused.version, refused.alias) == ("1", None)
    overridden = register(log_evaluation(0.70), approve=lambda proposal: Approval(True, "trial week"))
    assert overridden.alias == "candidate"
    assert "override: trial week" in snapshot().versions[0].tags["validation_reason"]
    approved = register(log_evaluation(0.95), approve=lambda proposal: Approval(True))
    assert approved.alias == "champion"


def test_a_registry_that_cannot_be_read_gets_no_alias(store: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = log_evaluation(0.92)

    def broken(*_: object, **__: object) -> None:
        raise MlflowException("permission denied")

    monkeypatch.setattr(MlflowClient, "get_registered_model", broken)
    with pytest.raises(RegistryError, match="permission denied"):
        register(evaluation)
    monkeypatch.undo()
    assert MlflowClient().search_registered_models() == []


def test_only_complete_evaluations_are_registered(store: MlflowClient, workspace: Path) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("{}", EVALUATION_FILE)
    for run_id, reason in (
        (run.info.run_id, "no complete evaluation"),
        ("0" * 32, "cannot be read"),
        (None, "Evaluate first"),
    ):
        with pytest.raises(DataError, match=reason):
            whole_evaluation(run_id)


def plant(evaluation_uri: str, **tags: str) -> str:
    """A version that somebody made by hand."""
    client = MlflowClient()
    if not client.search_registered_models():
        client.create_registered_model("news_classifier")
    folder = mlflow.artifacts.download_artifacts(evaluation_uri)  # a path has no run, unlike a logged model
    created = client.create_model_version("news_classifier", folder, tags=tags)
    assert not created.run_id
    return str(created.version)


def test_a_version_without_evaluation_never_gets_an_alias_and_blocks_nobody(store: MlflowClient) -> None:
    """Regression: it was judged by the newest evaluation, whosever that was, and became champion."""
    evaluation = log_evaluation(0.92)
    planted = plant(evaluation.model_uri, pending_alias="champion")
    done = register(evaluation)
    assert aliases() == {"champion": str(done.version)}
    assert done.version != planted
    with pytest.raises(DataError):
        whole_evaluation("")


def test_an_interrupted_version_that_no_longer_passes_stays_without_alias(store: MlflowClient) -> None:
    bad, good = log_evaluation(0.70), log_evaluation(0.95)
    client = MlflowClient()
    client.create_registered_model("news_classifier")
    client.create_model_version(
        "news_classifier", bad.model_uri, run_id=bad.run_id, tags={REGISTERED_AS_TAG: "champion"}
    )
    assert register(good).alias == "champion"
    assert aliases() == {"champion": "2"}


def test_an_override_that_was_interrupted_is_kept(store: MlflowClient) -> None:
    bad = log_evaluation(0.70)
    client = MlflowClient()
    client.create_registered_model("news_classifier")
    tags = {REGISTERED_AS_TAG: "candidate", "validation_reason": "override: trial week"}
    client.create_model_version("news_classifier", bad.model_uri, run_id=bad.run_id, tags=tags)
    register(log_evaluation(0.95))
    assert aliases() == {"candidate": "1", "champion": "2"}


def test_what_was_refused_once_can_be_registered_when_it_is_approved(store: MlflowClient) -> None:
    evaluation = log_evaluation(0.92)
    assert register(evaluation, approve=lambda proposal: Approval(False)).alias is None
    assert register(evaluation).alias == "champion"
    assert register(evaluation).version is None


@pytest.mark.parametrize("value", ["nan", "abc", "inf"])
def test_tags_that_are_no_numbers_decide_nothing(store: MlflowClient, value: str) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.92))
    MlflowClient().set_model_version_tag("news_classifier", "1", "category_accuracy", value)
    assert "+2.00 points" in register(log_evaluation(0.93)).reason  # of the champion's evaluation
    MlflowClient().set_model_version_tag("news_classifier", "2", "category_accuracy", value)
    with pytest.raises(RegistryError, match="which is no number"):
        register(log_evaluation(0.95))
    assert aliases() == {"champion": "1", "candidate": "2", "challenger": "3"}
