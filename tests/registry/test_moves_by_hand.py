"""Aliases that people moved by hand, and versions that somebody else completed."""

import subprocess
import sys
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.tracking import MlflowClient

from agent.errors import RegistryError
from registry.rollback import rollback
from registry.verify import repair, verify
from registry.versions import REGISTERED_AS_TAG
from tests.registry.evaluations import log_evaluation
from tests.registry.interference import Call, intercepted
from tests.registry.test_killed import ANN, promote
from tests.registry.test_register import aliases, history, register

NAME = "news_classifier"


def three_versions() -> None:
    """The first was champion, the second is, the third never was."""
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote()
    register(log_evaluation(0.92))
    assert aliases() == {"champion": "2", "defeated": "1", "candidate": "3"}


def test_a_rollback_goes_to_nobody_who_was_never_champion(store: MlflowClient) -> None:
    """Regression: without a version it went where the alias `defeated` pointed, whoever had put it there."""
    three_versions()
    store.set_registered_model_alias(NAME, "defeated", "3")
    assert rollback(store, ANN).version == "1"
    assert aliases() == {"champion": "1", "defeated": "2", "candidate": "3"}
    assert verify(store) == []


def test_who_stands_in_for_a_deleted_champion_is_reported_and_stays(store: MlflowClient) -> None:
    """Regression: the repair left no champion, and the next registration took the one by hand for approved."""
    three_versions()
    other = log_evaluation(0.94)
    store.delete_model_version(NAME, "2")
    store.set_registered_model_alias(NAME, "champion", "3")
    assert "alias champion is version 3 and should be 2" in [finding.problem for finding in verify(store)]
    with pytest.raises(RegistryError, match="rollback where the champion was deleted"):
        register(other)
    repair(store)
    assert aliases()["champion"] == "3"
    assert rollback(store, ANN).version == "1"
    assert aliases() == {"champion": "1", "defeated": "3", "candidate": "3"}
    assert all("version 2 was deleted" in finding.problem for finding in verify(store))


def test_an_approved_stand_in_can_be_made_champion(store: MlflowClient) -> None:
    three_versions()
    store.delete_model_version(NAME, "2")
    store.set_registered_model_alias(NAME, "champion", "1")
    assert rollback(store, ANN, "1").version == "1"
    assert aliases() == {"champion": "1", "candidate": "3"}


def test_a_version_that_somebody_else_completed_is_reported_as_it_was(store: MlflowClient) -> None:
    """Regression: its own registrar was told that the alias points to a version that cannot be found."""
    first, other = log_evaluation(0.92), log_evaluation(0.96)
    others: list[str | None] = []

    def come_between(name: str, call: Call) -> Any:
        if name == "create_experiment" and not others:  # the version is there, and no decision on it
            others.append("on the way")
            others.append(register(other).alias)
        return call()

    with intercepted(come_between):
        done = register(first)
    assert (done.version, done.alias) == ("1", "champion")
    assert others[1] == "challenger"
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert [entry.version for entry in history().entries] == ["1", "2"]
    assert verify(store) == []


def test_an_evaluation_that_cannot_be_read_now_costs_no_version_its_alias(store: MlflowClient) -> None:
    """Regression: whatever the store refused was taken for a run that is not there, and decided on for good."""
    first, other = log_evaluation(0.92), log_evaluation(0.96)
    store.create_registered_model(NAME)
    tags = {REGISTERED_AS_TAG: "champion"}
    store.create_model_version(NAME, first.model_uri, run_id=first.run_id, tags=tags)

    def stumble(name: str, call: Call) -> Any:
        if name == "get_run":
            raise MlflowException("the server stumbled", INTERNAL_ERROR)
        return call()

    with intercepted(stumble), pytest.raises(RegistryError, match="stumbled"):
        register(other)
    assert aliases() == {}
    register(other)
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_a_name_too_long_for_the_history_is_refused(store: MlflowClient) -> None:
    """Regression: MLflow would have cut the decision off, and the history could never be read again."""
    three_versions()
    with pytest.raises(RegistryError, match="Nothing was changed"):
        rollback(store, ANN._replace(by="Ann" * 3_000))
    assert aliases()["champion"] == "2"
    assert rollback(store, ANN).version == "1"


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_a_deleted_history_stops_everything_until_the_advice_is_followed(store: MlflowClient, what: str) -> None:
    """Regression: the advice lacked an option that MLflow's command asks for."""
    register(log_evaluation(0.92))
    experiment = store.get_experiment_by_name("news_classifier-registry")
    assert experiment
    if what == "run":
        store.delete_run(experiment.tags["history_run"])
    else:
        store.delete_experiment(experiment.experiment_id)
    with pytest.raises(RegistryError, match="is deleted. Restore it") as stopped:
        register(log_evaluation(0.96))
    assert aliases() == {"champion": "1"}
    advice = str(stopped.value).partition("Restore it: ")[2].rstrip(".").split()
    done = subprocess.run([sys.executable, "-m", *advice], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert register(log_evaluation(0.96)).alias == "challenger"
