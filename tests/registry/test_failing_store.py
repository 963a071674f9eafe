"""A store that fails at any call changes no alias by itself, is reported, and is no obstacle once it works again."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED
from mlflow.tracking import MlflowClient
from requests.exceptions import ReadTimeout

from agent.errors import NewsClassifierError, RegistryError
from registry.promotion import Promoter, Refused
from registry.rollback import rollback
from registry.verify import verify
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.interference import READS, Call, SavedStore, at, calls_of, intercepted, what_stands
from tests.registry.test_killed import ANN, mend, promote, promote_as, promote_or_be_refused, roll_back
from tests.registry.test_register import GATES, aliases, history, register

ADVICE = ("Check ", "news-classifier registry", "Run the command again", "register anew")


def stumble(_: str, __: Call) -> Any:
    raise MlflowException("the server stumbled", INTERNAL_ERROR)


def time_out(_: str, __: Call) -> Any:
    raise ReadTimeout("read timed out after 120 seconds")


def deny(_: str, __: Call) -> Any:
    raise MlflowException(f"PERMISSION_DENIED: you may not {'at all ' * 2_000}", PERMISSION_DENIED)


def obey_and_time_out(_: str, call: Call) -> Any:
    call()
    raise ReadTimeout("read timed out after 120 seconds")


def obey_and_stumble(_: str, call: Call) -> Any:
    call()
    raise MlflowException("the server stumbled", INTERNAL_ERROR)


FAILURES = (stumble, time_out, deny, obey_and_time_out, obey_and_stumble)


def endure(folder: Path, command: Callable[[], object], again: Callable[[], object]) -> None:
    """Let the store fail at each call of a command, and give the command again.

    The calls that write fail in every way, those that read in the first and the second by turns.
    """
    start, saved = aliases(), SavedStore(folder)
    calls = calls_of(command)
    end, seen = aliases(), set()
    for place, name in enumerate(calls):
        for failure in FAILURES[place % 2 :: 5] if name.startswith(READS) else FAILURES:
            saved.restore()
            where = f"{failure.__name__} at call {place} of {calls}"
            error = None
            try:
                with intercepted(at(place, failure)):
                    command()
            except NewsClassifierError as err:
                error = err
            is_told(error, where)
            left = history()
            assert not left.problems, where
            if left.is_settled:
                assert aliases() == (left.aliases or start), where
            if error is None:
                assert aliases() == end, where
            assert "champion" not in start or aliases()["champion"] in (start["champion"], end["champion"]), where
            if (stands := what_stands(folder)) not in seen:
                seen.add(stands)
                again()
                assert aliases() == end, where
                if findings := verify(MlflowClient()):  # a card holds up no decision
                    assert all(finding.problem.startswith("the card of") for finding in findings), (
                        f"{where}: {findings}"
                    )
                    mend()
                    assert verify(MlflowClient()) == [], where
    assert len(seen) > 2


def is_told(error: NewsClassifierError | None, where: str) -> None:
    if error is not None:
        assert isinstance(error, RegistryError), f"{where}: {error!r}"
        assert any(advice in str(error) for advice in ADVICE), f"{where}: {error}"


def test_a_first_registration(store: MlflowClient, workspace: Path) -> None:
    first = log_evaluation(0.92)
    endure(workspace, lambda: register(first), lambda: register(first))


def test_a_challenger_that_displaces_one(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.94))
    better = log_evaluation(0.96)
    endure(workspace, lambda: register(better), lambda: register(better))


def test_a_promotion(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    review = Promoter(MlflowClient(), GATES, unexpected).review()
    endure(workspace, lambda: promote_as(review), promote_or_be_refused)


def test_a_rollback(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote()

    def back_to_the_first() -> None:
        with suppress(Refused):
            rollback(MlflowClient(), ANN, "1")

    endure(workspace, roll_back, back_to_the_first)


@pytest.mark.parametrize("failure", [stumble, time_out, deny])
def test_a_store_that_cannot_be_read_at_all(store: MlflowClient, workspace: Path, failure: Any) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    candidate, before = log_evaluation(0.98), what_stands(workspace)
    for command in (lambda: register(candidate), promote, roll_back, lambda: verify(MlflowClient())):
        with intercepted(failure), pytest.raises(RegistryError, match="Could not"):
            command()
    assert what_stands(workspace) == before
