"""Random lives of a registered model: whatever is done, killed or raced, the champion is one that was approved."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar, NamedTuple

import mlflow
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from eval.evaluation import EvaluationRecord, LoggedEvaluation
from registry.history import History
from registry.ledger import Ledger, Overtaken
from registry.promote_commands import consent_to
from registry.promotion import Consent, Promoter, Refused, Review
from registry.register import Approval, Approver, register
from registry.rollback import rollback
from registry.verify import verify
from registry.versions import ALIASES, CHALLENGER, CHAMPION, Registry
from tests.registry.evaluations import log_evaluation
from tests.registry.interference import READS, Call, at, intercepted
from tests.registry.test_register import GATES

ANN = Consent("Ann", "hash", "looks right")
EXAMPLES, STEPS = 16, 12
MOST_CALLS, MOST_WRITES = 60, 8
"""Nearly all that a command makes of the store; one that makes fewer is not interrupted. Kills at what reads differ in
nothing from those at the next write."""
SET = ((0.85, "d1"), (0.91, "d1"), (0.9105, "d1"), (0.92, "d1"), (0.94, "d1"), (0.96, "d1"), (0.98, "d1"), (0.95, "d2"))
"""Accuracy and labelled set of the candidates: one fails, two perform alike, one was measured on other articles."""


class Killed(BaseException):
    """What a kill is to the process that is killed: nothing in it goes on."""


class Register(NamedTuple):
    candidate: int
    answer: bool | None


class Promote(NamedTuple):
    how: str


class RollBack(NamedTuple):
    to: int | None


Command = Register | Promote | RollBack
COMMANDS = st.one_of(
    st.builds(Register, st.integers(0, len(SET) - 1), st.sampled_from([None, None, True, False])),
    st.builds(Promote, st.sampled_from(["approved", "approved", "refused", "unattended"])),
    st.builds(RollBack, st.none() | st.integers(0, 3)),
)
LIVES = count()


class Life(RuleBasedStateMachine):
    """One registered model of its own, in a store that all share with their evaluations."""

    candidates: ClassVar[Sequence[LoggedEvaluation]] = ()

    def __init__(self) -> None:
        super().__init__()
        os.environ["UC_SCHEMA"] = f"life_{next(LIVES)}"
        self.champion: str | None = None
        self.deleted: set[str] = set()
        self.is_settled = True
        self.is_resumed = True

    @property
    def registry(self) -> Registry:
        return Registry(registered_model_name(), MlflowClient())

    @property
    def history(self) -> History:
        return Ledger(registered_model_name(), MlflowClient()).read()

    @initialize(is_settled=st.booleans())
    def begin(self, is_settled: bool) -> None:
        if is_settled:
            self.done(Register(1, None))
            self.done(Register(5, None))

    @rule(command=COMMANDS)
    def command(self, command: Command) -> None:
        self.done(command)

    @rule(command=COMMANDS, place=st.integers(0, MOST_WRITES))
    def kill(self, command: Command, place: int) -> None:
        is_dead = False

        def happens(_: str, call: Call) -> Any:
            nonlocal is_dead
            is_dead = True
            raise Killed

        living = at(place, happens)

        def unless_dead(name: str, call: Call) -> Any:
            if is_dead:
                raise Killed
            return call() if name.startswith(READS) else living(name, call)

        try:
            with intercepted(unless_dead):
                self.done(command)
        except Killed:
            self.is_settled = False
            self.is_resumed &= not isinstance(command, Register)
        while mlflow.active_run():
            mlflow.end_run()

    @rule(first=COMMANDS, second=COMMANDS, place=st.integers(0, MOST_CALLS))
    def race(self, first: Command, second: Command, place: int) -> None:
        """Two that looked at the same world; the second comes at one of the first one's calls, or after the last."""
        ours, theirs = self.prepared(first), self.prepared(second)
        has_come = False

        def overtaken(_: str, call: Call) -> Any:
            nonlocal has_come
            has_come = True
            theirs()
            return call()

        with intercepted(at(place, overtaken)):
            ours()
        if not has_come:
            theirs()
        self.is_settled = True
        self.is_resumed |= isinstance(first, Register) or isinstance(second, Register)

    @rule(which=st.sampled_from(ALIASES))
    def delete(self, which: str) -> None:
        if number := self.registry.aliases().get(which):
            MlflowClient().delete_model_version(registered_model_name(), number)
            self.deleted.add(number)

    def done(self, command: Command) -> None:
        self.prepared(command)()
        self.is_settled = True
        self.is_resumed |= isinstance(command, Register)

    def prepared(self, command: Command) -> Callable[[], None]:
        """A command, when its actor has looked and not moved yet."""
        match command:
            case Register(candidate, answer):
                return allowed(lambda: self.register(candidate, answer))
            case Promote(how):
                return self.promotion(how)
            case RollBack(to):
                champions = self.history.champions()
                target = champions[to % len(champions)] if to is not None and champions else None
                return allowed(lambda: rollback(MlflowClient(), ANN, target))

    def register(self, candidate: int, answer: bool | None) -> None:
        approve: Approver | None = None if answer is None else (lambda _: Approval(answer))
        register(self.candidates[candidate], GATES, remeasure=self.remeasure, approve=approve)

    def promotion(self, how: str) -> Callable[[], None]:
        promoter = Promoter(MlflowClient(), GATES, self.remeasure)
        try:
            review = promoter.review()
        except Refused:
            assert CHALLENGER not in self.registry.aliases()
            return allowed(promoter.review)
        if how == "unattended":
            return allowed(lambda: promoter.promote(review, unattended(review)))
        if how == "refused":
            return allowed(lambda: promoter.refuse(review, ANN))
        return allowed(lambda: promoter.promote(review, ANN))

    def remeasure(self, uri: str, like: EvaluationRecord) -> LoggedEvaluation:
        version = next(one for one in self.registry.snapshot().versions if uri.endswith(f"/{one.number}"))
        accuracy = version.metrics["category_accuracy"]
        return log_evaluation(accuracy, digest=like.dataset.digest, name=version.run_id, model_uri=uri)

    @invariant()
    def the_history_is_whole(self) -> None:
        history = self.history
        assert not history.problems
        champions: list[str] = []
        for entry in history.entries:
            crowned = entry.after.get(CHAMPION)
            if crowned and crowned != entry.before.get(CHAMPION):
                assert crowned == entry.version
                assert entry.action != "register" or not champions
                assert entry.action != "promote" or entry.approved
                assert entry.action != "rollback" or crowned in champions
                if entry in history.done():
                    champions.append(crowned)

    @invariant()
    def there_is_the_champion_that_was_decided_on(self) -> None:
        history, aliases = self.history, self.registry.aliases()
        now = aliases.get(CHAMPION)
        assert now or self.champion is None or self.champion in self.deleted
        self.champion = now or self.champion
        head = history.head
        assert now in (None, *(entry.after.get(CHAMPION) for entry in history.entries))
        if self.is_settled and head:
            assert history.is_settled
            wanted = {alias: number for alias, number in (history.aliases or {}).items() if number not in self.deleted}
            assert aliases == wanted

    @invariant()
    def nothing_else_is_found(self) -> None:
        if self.is_settled:
            findings = [finding.problem for finding in verify(MlflowClient())]
            left = [one for one in findings if "was deleted" not in one]
            assert self.is_resumed or all("interrupted" in one for one in left), left
            assert not left or not self.is_resumed, left


def unattended(review: Review) -> Consent:
    """What `promote --yes` gives, if it may."""
    consent = consent_to(review, None, None, None, None, unattended=True)
    assert consent
    assert review.sufficient.passed
    return consent


def allowed(command: Callable[[], object]) -> Callable[[], None]:
    """A command that may be refused or overtaken; every other error is one."""

    def run() -> None:
        with suppress(Refused, Overtaken):
            command()

    return run


def test_lives(store: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UC_CATALOG", "main")
    monkeypatch.setenv("UC_SCHEMA", "set for each life")
    monkeypatch.setattr(Life, "candidates", [log_evaluation(accuracy, digest=digest) for accuracy, digest in SET])
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            print_blob=True,
            database=None,
            phases=[Phase.generate],  # making a failure smaller takes longer than a test may
            suppress_health_check=checks,
        ),
    )
