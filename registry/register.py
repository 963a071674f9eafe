"""Turns a complete evaluation into a registered version with a verdict, and gives it the alias that the gates allow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import mlflow
from filelock import FileLock
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.config import Track
from agent.errors import DataError
from eval.evaluation import EvaluationRecord, LoggedEvaluation
from eval.runs import whole_evaluation
from eval.store import sqlite_path
from registry.gates import GatesConfig, Verdict, beats, is_duplicate, thresholds
from registry.versions import CANDIDATE, CHALLENGER, CHAMPION, MEASURED_TAGS, PENDING_TAG, Registry, Snapshot, Version

TRACK_LETTERS: Mapping[Track, str] = {"external": "A", "internal": "B", "local": "C"}
OVERRIDE = "override: "


class Proposal(NamedTuple):
    """What a registration would do, before it does it."""

    evaluation: EvaluationRecord
    gates: tuple[Verdict, ...]
    duplicate_of: Version | None
    alias: str | None
    """The alias that the version would get; None when a gate failed."""
    reason: str
    displaced: str | None = None
    """Number of the waiting challenger that would become candidate."""

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(verdict.passed for verdict in self.gates)


class Registration(NamedTuple):
    """What a registration did."""

    proposal: Proposal
    version: str | None
    """The new version, or None when none was registered."""
    alias: str | None
    """The alias that it got."""
    reason: str


class Approval(NamedTuple):
    """What a person says to a proposal."""

    approved: bool
    override_reason: str | None = None
    """Why the version may become candidate although a gate failed."""


Approver = Callable[[Proposal], Approval]
"""Asked before an alias is given."""


def propose(evaluation: EvaluationRecord, snapshot: Snapshot, config: GatesConfig) -> Proposal:
    """What should happen to an evaluated candidate, given the registry as it is."""
    gates = tuple(thresholds(config.gates, evaluation.metrics))
    duplicate = find_duplicate(evaluation, snapshot, config)
    if failed := [verdict.reason for verdict in gates if not verdict.passed]:
        return Proposal(evaluation, gates, duplicate, None, f"gate failed: {'; '.join(failed)}")
    champion = snapshot.holder(CHAMPION)
    if champion is None:
        return Proposal(evaluation, gates, duplicate, CHAMPION, "first version that passed all gates")
    if champion.tags.get("dataset_digest") != evaluation.dataset.digest:
        reason = (
            f"passed all gates; champion version {champion.number} was measured on other rows, so they are not compared"
        )
        return Proposal(evaluation, gates, duplicate, CANDIDATE, reason)
    better = beats(config.challenger, evaluation.metrics, champion.metrics)
    if not better.passed:
        return Proposal(evaluation, gates, duplicate, CANDIDATE, f"passed all gates; {better.reason}")
    waiting = snapshot.holder(CHALLENGER)
    if waiting and waiting.metrics.get("category_accuracy", 0.0) >= evaluation.metrics["category_accuracy"]:
        return Proposal(
            evaluation,
            gates,
            duplicate,
            CANDIDATE,
            f"{better.reason}; challenger version {waiting.number} is not worse",
        )
    return Proposal(evaluation, gates, duplicate, CHALLENGER, better.reason, waiting.number if waiting else None)


def register(evaluation: EvaluationRecord, config: GatesConfig, *, approve: Approver | None = None) -> Registration:
    """Register an evaluated candidate, unless an identical version exists.

    The version is created together with its tags and the alias it is about to get, then gets the alias. If that is
    interrupted, the next registration completes it.

    Args:
        evaluation: A complete evaluation with its logged model.
        config: The gates.
        approve: Asked before an alias is given; automatic without.

    Raises:
        DataError: the evaluation is partial, not in MLflow, or of a version that is registered already.
        RegistryError: the registry could not be read or changed; no alias was given then.
    """
    logged = registrable(evaluation)
    with one_at_a_time():
        return _register(Registry(registered_model_name(), MlflowClient()), logged, config, approve)


def _register(
    registry: Registry,
    evaluation: LoggedEvaluation,
    config: GatesConfig,
    approve: Callable[[Proposal], Approval] | None,
) -> Registration:
    finish_interrupted(registry, registry.snapshot(), config)
    proposal = propose(evaluation, registry.snapshot(), config)
    same = proposal.duplicate_of
    if same and not (proposal.passed and same.tags.get("production_ready") == "false"):
        return Registration(proposal, None, None, f"{_likeness(evaluation, same)}{_held(same)}; nothing registered")
    alias, reason = proposal.alias, proposal.reason
    if approve:
        alias, reason = _ask(approve, proposal)
    version = registry.create_version(evaluation.model_uri, evaluation.run_id, version_tags(proposal, alias, reason))
    if alias:
        give_alias(registry, version, alias, proposal.displaced)
    return Registration(proposal, version, alias, reason)


def registrable(evaluation: EvaluationRecord) -> LoggedEvaluation:
    """The evaluation, if it is whole, logged, and of a model that is not a version already. Raises DataError."""
    if evaluation.partial:
        raise DataError(f"The evaluation of {evaluation.agent} is partial: {evaluation.partial}. Finish it first.")
    if evaluation.run_id is None or evaluation.model_uri is None:
        raise DataError(
            f"The evaluation {evaluation.run_name} is not in MLflow yet. Log it first: news-classifier eval upload."
        )
    if evaluation.model_uri.startswith((f"models:/{registered_model_name()}/", f"models:/{registered_model_name()}@")):
        raise DataError(f"{evaluation.model_uri} is a registered version already. Register a candidate's evaluation.")
    return LoggedEvaluation.model_validate(evaluation.model_dump())


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let registrations into a local SQLite registry wait for each other; other registries are not locked."""
    path = sqlite_path(mlflow.get_registry_uri())
    with FileLock(path.with_name(f"{path.name}.register.lock")) if path else nullcontext():
        yield


def finish_interrupted(registry: Registry, snapshot: Snapshot, config: GatesConfig) -> None:
    """Complete registrations that were stopped before their version got its alias, never beyond what was recorded.

    A version whose evaluation cannot be read, or that no longer passes the gates, stays without an alias.
    """
    for version in reversed(snapshot.versions):
        if PENDING_TAG in version.tags:
            alias, displaced = (None, None) if version.aliases else _still_due(registry, version, config)
            if alias:
                give_alias(registry, version.number, alias, displaced)
            else:
                registry.delete_tag(version.number, PENDING_TAG)


def _still_due(registry: Registry, version: Version, config: GatesConfig) -> tuple[str | None, str | None]:
    """The alias that an interrupted registration may still give, and the challenger that it would displace."""
    recorded = version.tags[PENDING_TAG]
    try:
        proposal = propose(whole_evaluation(version.run_id or ""), registry.snapshot(), config)
    except DataError:
        return None, None
    if recorded == proposal.alias:
        return recorded, proposal.displaced
    overridden = version.tags.get("validation_reason", "").startswith(OVERRIDE)
    return (CANDIDATE, None) if proposal.passed or overridden else (None, None)


def give_alias(registry: Registry, version: str, alias: str, displaced: str | None) -> None:
    """Give a version its alias; a challenger that it displaces becomes candidate first, so that it is never lost."""
    if alias == CHALLENGER and displaced:
        registry.set_alias(CANDIDATE, displaced)
    registry.set_alias(alias, version)
    registry.delete_tag(version, PENDING_TAG)


def find_duplicate(evaluation: EvaluationRecord, snapshot: Snapshot, config: GatesConfig) -> Version | None:
    """The newest version that is the same candidate, or performs identically on the same rows."""
    for version in snapshot.versions:
        if version.tags.get("dataset_digest") != evaluation.dataset.digest:
            continue
        if version.tags.get("candidate_hash") == evaluation.candidate.hash:
            return version
        if is_duplicate(config.duplicate, evaluation.metrics, version.metrics):
            return version
    return None


def version_tags(proposal: Proposal, alias: str | None, reason: str) -> dict[str, str]:
    """The tags of a new version: what it is, what was measured, what the gates said."""
    evaluation = proposal.evaluation
    candidate = evaluation.candidate
    tags = {
        "agent": evaluation.agent,
        "track": TRACK_LETTERS[candidate.track],
        "provider": candidate.provider,
        "model": candidate.model,
        "production_ready": str(alias is not None).lower(),
        "validation_reason": reason,
        "dataset_digest": evaluation.dataset.digest,
        "code_hash": candidate.code_hash,
        "candidate_hash": candidate.hash,
    }
    tags |= {tag: repr(evaluation.metrics[name]) for tag, name in MEASURED_TAGS.items() if name in evaluation.metrics}
    return tags | ({PENDING_TAG: alias} if alias else {})


def _ask(approve: Approver, proposal: Proposal) -> tuple[str | None, str]:
    answer = approve(proposal)
    if proposal.passed:
        return (proposal.alias, proposal.reason) if answer.approved else (None, f"not approved; {proposal.reason}")
    if answer.override_reason:
        return CANDIDATE, f"{OVERRIDE}{answer.override_reason}; {proposal.reason}"
    return None, proposal.reason


def _likeness(evaluation: EvaluationRecord, version: Version) -> str:
    """How a candidate that is not registered is like the version that stands for it."""
    if version.tags.get("candidate_hash") == evaluation.candidate.hash:
        return f"has the same candidate as version {version.number}"
    return f"performs as version {version.number} ({version.tags.get('agent', 'unnamed')}) does on these rows"


def _held(version: Version) -> str:
    return f" ({', '.join(version.aliases)})" if version.aliases else ""
