"""What somebody does who was woken up: the same command once more, a rollback after a rollback, starting over."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.tracking import MlflowClient

from agent.errors import RegistryError
from registry.ledger import Ledger
from registry.moves import Decision, decide
from registry.verify import verify
from registry.versions import Registry
from serving.cli import main
from tests.registry.evaluations import log_evaluation
from tests.registry.interference import Call, intercepted
from tests.registry.test_killed import promote
from tests.registry.test_register import aliases, register

BACK = ("rollback", "--yes", "--reason", "slow")
Run = Callable[..., Result]


@pytest.fixture
def run(store: MlflowClient) -> Run:
    """Types a registry command where version 3 is champion, and 1 and 2 were."""
    register(log_evaluation(0.91))
    for accuracy in (0.94, 0.97):
        register(log_evaluation(accuracy))
        promote()
    return lambda *words: CliRunner().invoke(main, ["registry", *words])


def test_a_second_rollback_goes_further_back(run: Run) -> None:
    """Regression: it went forward again, to the version that the first one had taken out of service."""
    assert [run(*BACK).exit_code for _ in range(3)] == [0, 0, 1]
    assert aliases() == {"champion": "1", "defeated": "2"}
    assert "Earlier champions: 2, 3; --to names one of them" in run(*BACK).stderr
    assert run(*BACK, "--to", "3").exit_code == 0
    assert run(*BACK).exit_code == 0
    assert aliases() == {"champion": "1", "defeated": "3"}


@pytest.mark.parametrize("call", ["set_registered_model_alias", "log_param"])
def test_an_interrupted_rollback_that_is_given_again_goes_back_once(run: Run, call: str) -> None:
    """Regression: where only its outcome was missing, the same command went back to the version that was wrong."""
    seen = []

    def stumble(name: str, go_on: Call) -> Any:
        seen.append(name)
        if name == call and seen.count("log_param") == (2 if call == "log_param" else 1):
            raise MlflowException("the server stumbled", INTERNAL_ERROR)
        return go_on()

    with intercepted(stumble):
        first = run(*BACK)
    again = run(*BACK)
    if "The aliases are as they were before" in first.stderr:
        assert again.exit_code == 0
    else:
        assert (first.exit_code, again.exit_code) == (3, 1)
        assert "A rollback was under way, and is finished now: rollback of version 2" in again.stderr
    assert aliases() == {"champion": "2", "defeated": "3"}
    assert verify(MlflowClient()) == []


def test_a_model_that_was_deleted_whole_does_not_number_its_versions_again(run: Run) -> None:
    """Regression: the new version 1 was taken for the old one, reported as champion, and made so by verify --repair."""
    MlflowClient().delete_registered_model("news_classifier")
    with pytest.raises(RegistryError, match="was deleted, and its history names versions"):
        register(log_evaluation(0.98))
    assert MlflowClient().search_registered_models() == []


def test_a_version_that_somebody_tidied_away_is_told_and_is_no_alarm(run: Run) -> None:
    """Regression: verify ended with 1 ever after."""
    MlflowClient().delete_model_version("news_classifier", "1")
    done = run("verify")
    assert (done.exit_code, done.stdout) == (
        0,
        "version 1 was deleted. What to do: nothing; it is reported because it is so.\n",
    )
    MlflowClient().delete_model_version("news_classifier", "3")
    assert run("verify").exit_code == 1
    assert run(*BACK).exit_code == 0
    assert run("verify").exit_code == 0


def test_whoever_is_overtaken_is_refused(run: Run) -> None:
    """Regression: 3, as if the store were broken, where another came a moment later than 'too late'."""
    registry, ledger = Registry("news_classifier", MlflowClient()), Ledger("news_classifier", MlflowClient())
    history = ledger.read()
    theirs = Decision("refuse", None, "Bo", "terminal", "not tonight", registry.aliases())

    def come_first(name: str, go_on: Call) -> Any:
        if name == "log_param" and ledger.read().hash == history.hash:
            decide(registry, ledger, history, registry.aliases(), theirs)
        return go_on()

    with intercepted(come_first):
        done = run(*BACK)
    assert done.exit_code == 1
    assert "Somebody else was first: refuse by Bo" in done.stderr
    assert aliases()["champion"] == "3"
