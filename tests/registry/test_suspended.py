"""A winner that is suspended between its moves, and woken after others went on, puts right what it does wrong."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from mlflow.tracking import MlflowClient

from agent.errors import RegistryError
from registry.verify import repair, verify
from tests.registry.evaluations import log_evaluation
from tests.registry.interference import Call, Happens, close_connections, die, forked, intercepted
from tests.registry.test_killed import promote
from tests.registry.test_register import aliases, register

SETS_CHAMPION = 2
"""Of the aliases that a promotion sets: defeated, then champion."""


def stop_before_the_champion_moves(after: Callable[[], None]) -> Happens:
    """Suspends its process just before it makes a champion; `after` comes when it has made it all the same."""
    moves = iter(range(1, 10))

    def happens(name: str, call: Call) -> object:
        if name != "set_registered_model_alias" or next(moves) != SETS_CHAMPION:
            return call()
        os.kill(os.getpid(), signal.SIGSTOP)
        result = call()
        after()
        return result

    return happens


def suspended(after: Callable[[], None]) -> int:
    """A process that promotes and is suspended while it does; its id."""

    def command() -> None:
        with intercepted(stop_before_the_champion_moves(after)):
            promote()

    child = forked(command)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return child


def wake(child: int) -> int:
    """Let it go on to its end; how that was."""
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    close_connections()
    return status


@pytest.fixture
def sleeper(store: MlflowClient, request: pytest.FixtureRequest) -> Iterator[int]:
    """Stopped in the promotion of version 2, which somebody else has finished; version 3 was promoted after it."""
    register(log_evaluation(0.91))
    register(log_evaluation(0.94))
    next_one = log_evaluation(0.97)
    child = suspended(request.param)
    try:
        assert aliases() == {"champion": "1", "challenger": "2", "defeated": "1"}
        assert "not finished: promote of version 2" in verify(MlflowClient())[0].problem
        register(next_one)
        assert aliases() == {"champion": "2", "challenger": "3", "defeated": "1"}
        promote()
        assert aliases() == {"champion": "3", "defeated": "2"}
        yield child
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.parametrize("sleeper", [lambda: None], indirect=True, ids=["lives"])
def test_who_wakes_too_late_puts_right_what_he_moved(sleeper: int) -> None:
    assert os.waitstatus_to_exitcode(wake(sleeper)) == 0
    assert aliases() == {"champion": "3", "defeated": "2"}
    assert verify(MlflowClient()) == []


@pytest.mark.parametrize("sleeper", [die], indirect=True, ids=["dies"])
def test_who_wakes_too_late_and_dies_is_found_and_repaired(sleeper: int) -> None:
    other = log_evaluation(0.92)
    assert os.waitstatus_to_exitcode(wake(sleeper)) == -signal.SIGKILL
    assert aliases() == {"champion": "2", "defeated": "2"}  # the late write
    [finding] = verify(MlflowClient())
    assert finding.problem == "alias champion is version 2 and should be 3"
    assert finding.remedy == "news-classifier registry verify --repair"
    with pytest.raises(RegistryError, match="Aliases were moved by other means"):
        register(other)
    repair(MlflowClient())
    assert aliases() == {"champion": "3", "defeated": "2"}
    assert verify(MlflowClient()) == []
