"""A process that is killed at any call of the store leaves a champion, and the next command finishes what it began."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlflow.tracking import MlflowClient

from registry.promotion import Consent, Promoter, Refused, Review
from registry.rollback import rollback
from registry.verify import repair, verify
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.interference import SavedStore, calls_of, killed_at, what_stands
from tests.registry.test_register import GATES, aliases, history, register

ANN = Consent("Ann", "hash", "looks right")


def promote() -> None:
    promote_as(Promoter(MlflowClient(), GATES, unexpected).review())


def promote_as(review: Review) -> None:
    Promoter(MlflowClient(), GATES, unexpected).promote(review, ANN)


def promote_or_be_refused() -> None:
    with suppress(Refused):
        promote()


def roll_back() -> None:
    rollback(MlflowClient(), ANN)


def mend() -> None:
    repair(MlflowClient())


def survive(folder: Path, command: Callable[[], object], *finishers: Callable[[], object]) -> list[dict[str, str]]:
    """Kill a command at each of its calls; what then stands in the store is finished by each of the finishers.

    Kills that leave the same behind, because only reads are between them, are finished once.

    Returns: Where the aliases were after each finisher.
    """
    start = aliases()
    saved = SavedStore(folder)
    calls = calls_of(command)
    end, outcomes, seen = aliases(), [], set()
    for place in range(len(calls) + 1):
        saved.restore()
        killed_at(place, command)
        left = what_stands(folder)
        if left in seen:
            continue
        seen.add(left)
        assert "champion" not in start or aliases()["champion"] in (start["champion"], end["champion"])
        killed = SavedStore(folder)
        for finisher in finishers:
            killed.restore()
            finisher()
            where = f"killed before call {place} of {calls}, then {finisher.__name__}"
            assert verify(MlflowClient()) == [], where
            assert history().is_settled, where
            assert "champion" in aliases(), where
            outcomes.append(aliases())
    assert len(seen) > sum(name in ("log_param", "set_registered_model_alias") for name in calls)
    return outcomes


def test_a_first_registration(store: MlflowClient, workspace: Path) -> None:
    first, other = log_evaluation(0.92), log_evaluation(0.93)

    def register_another() -> None:
        register(other)

    survive(workspace, lambda: register(first), register_another)


def test_a_challenger_that_displaces_one(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.94))
    better, other = log_evaluation(0.96), log_evaluation(0.92)

    def register_another() -> None:
        register(other)

    outcomes = survive(workspace, lambda: register(better), register_another)
    assert outcomes[0] == {"champion": "1", "challenger": "2", "candidate": "3"}
    assert outcomes[-1] == {"champion": "1", "challenger": "3", "candidate": "4"}


def test_a_duplicate_that_is_counted(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    same = log_evaluation(0.9105)
    survive(workspace, lambda: register(same), lambda: register(same))
    [trial] = history().trials("1", "d1").values()
    assert trial.candidate_hash == same.candidate.hash


def test_a_promotion(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    review = Promoter(MlflowClient(), GATES, unexpected).review()
    outcomes = survive(workspace, lambda: promote_as(review), mend, promote_or_be_refused)
    assert outcomes[0] == {"champion": "1", "challenger": "2"}
    assert all(outcome == {"champion": "2", "defeated": "1"} for outcome in outcomes[1::2])


def test_a_rollback(store: MlflowClient, workspace: Path) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote()
    other = log_evaluation(0.92)

    def register_another() -> None:
        register(other)

    outcomes = survive(workspace, roll_back, mend, register_another)
    assert outcomes[0] == {"champion": "2", "defeated": "1"}
    assert outcomes[-2] == {"champion": "1", "defeated": "2"}
