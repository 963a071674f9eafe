"""What should happen to an evaluated candidate, given the registry as it is. Pure: it reads and changes nothing."""

from typing import NamedTuple

from eval.evaluation import EvaluationRecord
from registry.evidence import Evidence
from registry.gates.config import GatesConfig
from registry.gates.duplicate import is_duplicate
from registry.gates.improvement import improves
from registry.gates.verdict import Verdict
from registry.history import History
from registry.measurements import Rival, case_of
from registry.versions import CANDIDATE, CHALLENGER, CHAMPION, Snapshot, Version


class World(NamedTuple):
    """The registry as it was read, with what was measured on the candidate's rows."""

    snapshot: Snapshot
    history: History
    champion: Rival | None
    challenger: Rival | None
    """Who waits."""


class Proposal(NamedTuple):
    """What a registration would do, before it does it."""

    evaluation: EvaluationRecord
    evidence: Evidence
    duplicate_of: Version | None
    alias: str | None
    """The alias that the version would get; None when a gate failed."""
    reason: str
    displaced: str | None = None
    """Number of the waiting challenger that would become candidate."""

    @property
    def gates(self) -> tuple[Verdict, ...]:
        """What each gate says."""
        return self.evidence.gates

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(verdict.passed for verdict in self.gates)

    def after(self, version: str, alias: str | None, before: dict[str, str]) -> dict[str, str]:
        """The aliases, once a version has its own. A challenger that is displaced becomes candidate."""
        displaced = {CANDIDATE: self.displaced} if alias == CHALLENGER and self.displaced else {}
        return {**before, **displaced, **({alias: version} if alias else {})}


def propose(evaluation: EvaluationRecord, evidence: Evidence, world: World) -> Proposal:
    """The alias that a candidate has earned, and why."""
    duplicate = find_duplicate(evaluation, world, evidence.rules)
    if failed := [verdict.reason for verdict in evidence.gates if not verdict.passed]:
        return Proposal(evaluation, evidence, duplicate, None, f"gate failed: {'; '.join(failed)}")
    if world.champion is None:
        alias, reason = without_champion(world.history)
    else:
        better = improves(evidence.rules.challenger, case_of(evidence))
        alias, reason = CHALLENGER if better.passed else CANDIDATE, better.reason
    waiting = world.challenger
    if alias == CHALLENGER and waiting and not is_ahead(evaluation, waiting):
        alias, reason = CANDIDATE, f"{reason}; challenger version {waiting.version.number} is not worse"
    displaced = waiting.version.number if alias == CHALLENGER and waiting else None
    return Proposal(evaluation, evidence, duplicate, alias, f"passed all gates; {reason}", displaced)


def without_champion(history: History) -> tuple[str, str]:
    """The first version that passes becomes champion; one after a champion that is gone waits for a person."""
    if gone := history.champions():
        return CHALLENGER, f"champion version {gone[0]} is gone; promote this version, or roll back to an earlier one"
    return CHAMPION, "first version that did"


def is_ahead(evaluation: EvaluationRecord, waiting: Rival) -> bool:
    """Whether a candidate is more accurate than the waiting challenger, on the same rows."""
    return evaluation.metrics["category_accuracy"] > waiting.evaluation.metrics.get("category_accuracy", 0.0)


def find_duplicate(evaluation: EvaluationRecord, world: World, rules: GatesConfig) -> Version | None:
    """The newest version that is the same candidate, or performs identically on the same rows."""
    rivals = {rival.version.number: rival for rival in (world.champion, world.challenger) if rival}
    for version in world.snapshot.versions:
        if version.tags.get("candidate_hash") == evaluation.candidate.hash:
            return version
        rival = rivals.get(version.number)
        if rival is None and version.tags.get("dataset_digest") != evaluation.dataset.digest:
            continue
        measured = rival.evaluation.metrics if rival else version.metrics
        if is_duplicate(rules.duplicate, evaluation.metrics, measured):
            return version
    return None
