import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent.errors import DataError, RegistryError
from agent.settings import read_settings
from eval.evaluation import EVALUATION_FILE
from eval.runs import whole_evaluation
from registry.gates.config import GatesConfig
from registry.register import Approval, register
from registry.versions import PENDING_TAG, Registry, Snapshot
from tests.conftest import ROOT
from tests.registry.conftest import Evaluate

GATES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)


def snapshot() -> Snapshot:
    return Registry("news_classifier", MlflowClient()).snapshot()


def aliases() -> dict[str, str]:
    return dict(snapshot().aliases)


def test_the_first_version_that_passes_becomes_champion(evaluated: Evaluate) -> None:
    done = register(evaluated(0.92), GATES)
    assert (done.version, done.alias) == ("1", "champion")
    assert aliases() == {"champion": "1"}
    [version] = snapshot().versions
    assert version.tags["track"] == "C"
    assert version.tags["production_ready"] == "true"
    assert float(version.tags["category_accuracy"]) == 0.92
    assert version.tags["dataset_digest"] == "d1"
    assert PENDING_TAG not in version.tags
    loaded = mlflow.models.get_model_info("models:/news_classifier@champion")
    assert loaded.flavors["python_function"]


def test_one_that_fails_a_gate_is_registered_without_alias(evaluated: Evaluate) -> None:
    done = register(evaluated(0.89), GATES)
    assert (done.version, done.alias) == ("1", None)
    assert aliases() == {}
    assert snapshot().versions[0].tags["production_ready"] == "false"
    assert "category_accuracy 0.8900 < 0.9000" in snapshot().versions[0].tags["validation_reason"]
    assert register(evaluated(0.91), GATES).alias == "champion"


def test_two_points_make_a_challenger_less_makes_a_candidate(evaluated: Evaluate) -> None:
    register(evaluated(0.91), GATES)
    assert register(evaluated(0.9285), GATES).alias == "candidate"
    assert register(evaluated(0.93), GATES).alias == "challenger"
    assert register(evaluated(0.96, sentiment=0.84), GATES).alias == "candidate"
    assert aliases() == {"champion": "1", "challenger": "3", "candidate": "4"}


def test_a_better_challenger_displaces_the_waiting_one_a_worse_one_does_not(evaluated: Evaluate) -> None:
    register(evaluated(0.91), GATES)
    register(evaluated(0.94), GATES)
    assert register(evaluated(0.935), GATES).alias == "candidate"
    assert register(evaluated(0.96), GATES).alias == "challenger"
    assert aliases() == {"champion": "1", "challenger": "4", "candidate": "2"}


def test_identical_performance_is_not_registered_again(evaluated: Evaluate) -> None:
    register(evaluated(0.91), GATES)
    again = register(evaluated(0.9105), GATES)
    assert again.version is None
    assert again.proposal.duplicate_of
    assert again.proposal.duplicate_of.number == "1"
    assert len(snapshot().versions) == 1
    cheaper = register(evaluated(0.9105, latency_ms_p95=1.0), GATES)
    assert cheaper.version == "2"


def test_figures_of_other_rows_are_never_compared(evaluated: Evaluate) -> None:
    register(evaluated(0.91), GATES)
    done = register(evaluated(0.99, digest="d2"), GATES)
    assert done.alias == "candidate"
    assert "other rows" in done.reason


def test_a_person_can_refuse_approve_and_override(evaluated: Evaluate) -> None:
    refused = register(evaluated(0.91), GATES, approve=lambda proposal: Approval(False))
    assert (refused.version, refused.alias) == ("1", None)
    overridden = register(evaluated(0.70), GATES, approve=lambda proposal: Approval(True, "trial week"))
    assert overridden.alias == "candidate"
    assert "override: trial week" in snapshot().versions[0].tags["validation_reason"]
    approved = register(evaluated(0.95), GATES, approve=lambda proposal: Approval(True))
    assert approved.alias == "champion"


def test_a_registry_that_cannot_be_read_gets_no_alias(evaluated: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = evaluated(0.92)

    def broken(*_: object, **__: object) -> None:
        raise MlflowException("permission denied")

    monkeypatch.setattr(MlflowClient, "get_registered_model", broken)
    with pytest.raises(RegistryError, match="permission denied"):
        register(evaluation, GATES)
    monkeypatch.undo()
    assert MlflowClient().search_registered_models() == []


KILLED_AT = [
    "create_registered_model",
    "create_model_version",
    "set_registered_model_alias",
    "delete_model_version_tag",
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", KILLED_AT)
def test_killed_at_any_store_call_nothing_is_half_registered_and_the_next_command_works(
    evaluated: Evaluate, call: str, after: bool
) -> None:
    """SIGKILL right before and right after every call that changes the registry."""
    evaluation = evaluated(0.92)
    script = textwrap.dedent(f"""
        import os, signal
        from mlflow.tracking import MlflowClient
        from tests.registry.test_register import GATES, whole_evaluation, register
        real = MlflowClient.{call}
        def dying(*args, **kwargs):
            result = real(*args, **kwargs) if {after} else None
            os.kill(os.getpid(), signal.SIGKILL)
        MlflowClient.{call} = dying
        register(whole_evaluation({evaluation.run_id!r}), GATES)
    """)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    done = register(whole_evaluation(evaluation.run_id), GATES)
    assert done.alias == "champion" or done.proposal.duplicate_of
    assert aliases() == {"champion": "1"}
    assert [(version.number, PENDING_TAG in version.tags) for version in snapshot().versions] == [("1", False)]


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


def test_a_version_without_evaluation_never_gets_an_alias_and_blocks_nobody(evaluated: Evaluate) -> None:
    """Regression: it was judged by the newest evaluation, whosever that was, and became champion."""
    evaluation = evaluated(0.92)
    planted = plant(evaluation.model_uri, pending_alias="champion")
    done = register(evaluation, GATES)
    assert aliases() == {"champion": str(done.version)}
    assert done.version != planted
    with pytest.raises(DataError):
        whole_evaluation("")


def test_an_interrupted_version_that_no_longer_passes_stays_without_alias(evaluated: Evaluate) -> None:
    bad, good = evaluated(0.70), evaluated(0.95)
    client = MlflowClient()
    client.create_registered_model("news_classifier")
    client.create_model_version("news_classifier", bad.model_uri, run_id=bad.run_id, tags={PENDING_TAG: "champion"})
    assert register(good, GATES).alias == "champion"
    assert aliases() == {"champion": "2"}


def test_an_override_that_was_interrupted_is_kept(evaluated: Evaluate) -> None:
    bad = evaluated(0.70)
    client = MlflowClient()
    client.create_registered_model("news_classifier")
    tags = {PENDING_TAG: "candidate", "validation_reason": "override: trial week"}
    client.create_model_version("news_classifier", bad.model_uri, run_id=bad.run_id, tags=tags)
    register(evaluated(0.95), GATES)
    assert aliases() == {"candidate": "1", "champion": "2"}


def test_what_was_refused_once_can_be_registered_when_it_is_approved(evaluated: Evaluate) -> None:
    evaluation = evaluated(0.92)
    assert register(evaluation, GATES, approve=lambda proposal: Approval(False)).alias is None
    assert register(evaluation, GATES).alias == "champion"
    assert register(evaluation, GATES).version is None


@pytest.mark.parametrize("value", ["nan", "abc", "inf"])
def test_a_champion_whose_figures_are_no_numbers_is_an_error_and_not_beaten(evaluated: Evaluate, value: str) -> None:
    register(evaluated(0.91), GATES)
    MlflowClient().set_model_version_tag("news_classifier", "1", "sentiment_accuracy", value)
    with pytest.raises(RegistryError, match="which is no number"):
        register(evaluated(0.95, sentiment=0.81), GATES)
    assert aliases() == {"champion": "1"}
