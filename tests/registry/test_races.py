"""Many promoters at once, in several processes: one wins, the others name it, and the aliases follow the history."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from eval.store import open_store
from registry.history import Entry
from registry.ledger import Ledger
from registry.promotion import Promoter, Review
from registry.register import register
from registry.verify import verify
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.racers import GATES, MODEL, Racers, Wanted, racers
from tests.registry.servers import mlflow_server

PROCESSES, THREADS = 3, 4
LOSER_S = 10


@pytest.fixture(params=["sqlite", pytest.param("http", marks=pytest.mark.slow)])
def raced_store(
    request: pytest.FixtureRequest, store: MlflowClient, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """An empty store that many processes use at once: a file, and the same behind a server."""
    if request.param == "sqlite":
        yield
        return
    with mlflow_server(workspace, f"sqlite:///{workspace}/mlflow.db") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        open_store()
        yield
        while mlflow.active_run():
            mlflow.end_run()


def reviewed(accuracy: float) -> Review:
    """The review of a new challenger."""
    register(log_evaluation(accuracy), GATES, remeasure=unexpected)
    return Promoter(MlflowClient(), GATES, unexpected).review()


def won(field: Racers, wanted: Wanted) -> Entry:
    """Race, check that one wins and that the others name it in time; the decision of the winner."""
    attempts = field.race(wanted)
    head = Ledger(MODEL, MlflowClient()).read().head
    assert head
    assert [attempt.by for attempt in attempts if attempt.end == "won"] == [head.by]
    losers = [attempt for attempt in attempts if attempt.by != head.by]
    assert len(losers) == PROCESSES * THREADS - 1
    assert [loser for loser in losers if loser.end == "failed" or head.by not in loser.said] == []
    assert max(loser.seconds for loser in losers) < LOSER_S
    assert verify(MlflowClient()) == []
    return head


@pytest.mark.usefixtures("raced_store")
def test_one_of_many_racers_wins_and_the_others_name_it() -> None:
    with racers(PROCESSES, THREADS) as field:
        first = won(field, Wanted("begin"))
        assert (first.epoch, first.after) == (1, {})
        register(log_evaluation(0.92), GATES, remeasure=unexpected)
        promoted = won(field, Wanted("promote", reviewed(0.95).model_dump_json()))
        assert (promoted.epoch, promoted.after) == (4, {"champion": "2", "defeated": "1"})
        back = won(field, Wanted("rollback", "1"))
        assert (back.epoch, back.after) == (5, {"champion": "1", "defeated": "2"})
