"""Places an evaluated candidate in the registry as it is: a version, a decision in the history, an alias."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.config import Track
from agent.errors import DataError
from eval.evaluation import LoggedEvaluation
from eval.runs import whole_evaluation
from registry.card import card_text
from registry.evidence import Evidence, keep_evidence
from registry.gates.config import GatesConfig
from registry.history import How
from registry.ledger import Ledger, Overtaken
from registry.measurements import Remeasure, Rival, gates_of, gather, on_the_same_rows, trial_of
from registry.moves import Decision, decide, finish, settled, user
from registry.proposal import Proposal, World, propose
from registry.refusals import explained
from registry.versions import (
    CANDIDATE,
    CHALLENGER,
    CHAMPION,
    EVIDENCE_TAG,
    MEASURED_TAGS,
    REGISTERED_AS_TAG,
    Registry,
    Version,
)

TRACK_LETTERS: Mapping[Track, str] = {"external": "A", "internal": "B", "local": "C"}
OVERRIDE = "override: "
NO_ALIAS = "none"


class Registration(NamedTuple):
    """What a registration did."""

    proposal: Proposal
    version: str | None
    """The new version, or None when none was registered."""
    alias: str | None
    """The alias that it got."""
    reason: str


class Answer(NamedTuple):
    """What becomes of a proposal."""

    alias: str | None
    reason: str
    """As the history and the card give it."""
    how: How = "automatic"


class Registrar:
    """Registers candidates of one model.

    Args:
        client: MLflow's client.
        rules: The gates.
        remeasure: Evaluates a version where it was measured on other rows.
    """

    def __init__(self, client: MlflowClient, rules: GatesConfig, remeasure: Remeasure) -> None:
        name = registered_model_name()
        self._client, self._rules, self._remeasure = client, rules, remeasure
        self._registry, self._ledger = Registry(name, client), Ledger(name, client)

    def register(self, evaluation: LoggedEvaluation, answer: Callable[[Proposal], Answer]) -> Registration:
        """Register a candidate, unless an identical version exists; one that was compared counts in any case."""
        world, proposal = self._judge(evaluation)
        same = proposal.duplicate_of
        if same and not (proposal.passed and same.tags.get("production_ready") == "false"):
            refusal = Answer(None, f"{likeness(proposal, same)}; nothing registered")
            if not is_counted(world, proposal.evidence):
                self._place(None, evaluation, (world, proposal), lambda _: refusal)
            return Registration(proposal, None, None, refusal.reason)
        given = answer(proposal)
        keep_evidence(self._client, proposal.evidence)
        version = self._registry.create_version(
            evaluation.model_uri,
            evaluation.run_id,
            version_tags(proposal, given),
            card_text(proposal.evidence, given.reason),
        )
        return self._place(version, evaluation, (world, proposal), answer, given)

    def resume(self) -> None:
        """Complete registrations that were stopped between version and alias, never beyond what was recorded.

        A version whose evaluation cannot be read, or that no longer passes the gates, stays without an alias.
        """
        history = finish(self._registry, self._ledger)
        for version in reversed(self._registry.snapshot().versions):
            if REGISTERED_AS_TAG in version.tags and not history.decisions_on(version.number):
                self._resume(version)

    def _resume(self, version: Version) -> None:
        try:
            with explained(f"read the evaluation of version {version.number}"):
                evaluation = whole_evaluation(version.run_id or "")
            judged = self._judge(evaluation, version.number)
        except DataError as err:
            history, snapshot = settled(self._registry, self._ledger)
            gone = Decision("register", version.number, user(), "automatic", f"no alias: {err}", snapshot.aliases)
            with suppress(Overtaken):  # then it is for the next registration to see
                decide(self._registry, self._ledger, history, snapshot.aliases, gone)
        else:
            self._place(version.number, evaluation, judged, lambda proposal: still_due(proposal, version))

    def _judge(self, evaluation: LoggedEvaluation, version: str | None = None) -> tuple[World, Proposal]:
        """What a candidate has earned in the registry as it is now; `version` is its own, once it has one."""
        history, snapshot = settled(self._registry, self._ledger)
        others = snapshot.without(version)
        gates = gates_of(evaluation, self._rules)
        passed = all(verdict.passed for verdict in gates)  # who fails is not worth measuring others for
        champion, challenger = (
            self._rival(others.holder(alias), evaluation) if passed else None for alias in (CHAMPION, CHALLENGER)
        )
        world = World(others, history, champion, challenger)
        evidence = gather(self._registry.name, evaluation, champion, history, self._rules, gates)
        return world, propose(evaluation, evidence, world)

    def _rival(self, version: Version | None, evaluation: LoggedEvaluation) -> Rival | None:
        if version is None:
            return None
        return Rival(version, on_the_same_rows(self._registry.name, version, evaluation, self._remeasure))

    def _place(
        self,
        version: str | None,
        evaluation: LoggedEvaluation,
        judged: tuple[World, Proposal],
        answer: Callable[[Proposal], Answer],
        given: Answer | None = None,
    ) -> Registration:
        """Write what becomes of a version into the history, and give it its alias.

        Who is overtaken looks again: what was earned beside one champion may not be given beside another. Without
        `given`, or once that is void, the version gets evidence, tags and card anew.
        """
        world, proposal = judged
        while True:
            if version and (placed := world.history.decisions_on(version)):  # by somebody who completed it
                alias = next((alias for alias, held in placed[0].after.items() if held == version), None)
                return Registration(proposal, version, alias, placed[0].reason)
            if given is None:
                given = answer(proposal)
                if version:
                    self._write(version, proposal, given)
            before = dict(world.snapshot.aliases)
            decision = Decision(
                action="register",
                version=version,
                by=user(),
                how=given.how,
                reason=given.reason,
                after=proposal.after(version, given.alias, before) if version else before,
                evidence=proposal.evidence.hash if version else None,
                trial=trial_of(proposal.evidence),
            )
            try:
                decide(self._registry, self._ledger, world.history, before, decision)
                return Registration(proposal, version, given.alias, given.reason)
            except Overtaken:
                world, proposal = self._judge(evaluation, version)
                given = None

    def _write(self, version: str, proposal: Proposal, given: Answer) -> None:
        """Evidence, tags and card of a version that was made for another world than this one."""
        keep_evidence(self._client, proposal.evidence)
        for tag, value in version_tags(proposal, given).items():
            self._registry.set_tag(version, tag, value)
        self._registry.describe(version, card_text(proposal.evidence, given.reason))


def still_due(proposal: Proposal, version: Version) -> Answer:
    """What an interrupted registration may still give: what was recorded, or less where it is not earned any more."""
    recorded, reason = version.tags[REGISTERED_AS_TAG], version.tags.get("validation_reason", proposal.reason)
    if recorded == NO_ALIAS:
        return Answer(None, reason)
    if recorded == proposal.alias or (proposal.alias is None and reason.startswith(OVERRIDE)):
        return Answer(recorded, reason)
    return Answer(CANDIDATE if proposal.passed else None, proposal.reason)


def is_counted(world: World, evidence: Evidence) -> bool:
    """Whether the history counts this candidate among those that were compared with the champion, or need not."""
    trial = trial_of(evidence)
    return trial is None or trial.candidate_hash in world.history.trials(trial.champion, trial.dataset_digest)


def version_tags(proposal: Proposal, answer: Answer) -> dict[str, str]:
    """The tags of a new version: what it is, what was measured, what the gates said."""
    evaluation, candidate = proposal.evaluation, proposal.evaluation.candidate
    tags = {
        "agent": evaluation.agent,
        "track": TRACK_LETTERS[candidate.track],
        "provider": candidate.provider,
        "model": candidate.model,
        "production_ready": str(answer.alias is not None).lower(),
        "validation_reason": answer.reason,
        "dataset_digest": evaluation.dataset.digest,
        "code_hash": candidate.code_hash,
        "candidate_hash": candidate.hash,
        EVIDENCE_TAG: proposal.evidence.hash,
        REGISTERED_AS_TAG: answer.alias or NO_ALIAS,
    }
    if candidate.prompt_hash:
        tags["prompt_hash"] = candidate.prompt_hash
    return tags | {
        tag: repr(evaluation.metrics[name]) for tag, name in MEASURED_TAGS.items() if name in evaluation.metrics
    }


def likeness(proposal: Proposal, version: Version) -> str:
    """How a candidate that is not registered is like the version that stands for it."""
    held = f" ({', '.join(version.aliases)})" if version.aliases else ""
    if version.tags.get("candidate_hash") == proposal.evaluation.candidate.hash:
        return f"has the same candidate as version {version.number}{held}"
    return f"performs as version {version.number} ({version.tags.get('agent', 'unnamed')}) does on these rows{held}"
