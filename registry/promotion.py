"""Promotion: what would be approved, shown and named by a hash; and the move, if nothing has changed since."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict

from agent.champion import registered_model_name
from agent.errors import RegistryError
from eval.runs import whole_evaluation
from registry.evidence import Evidence, Measurement, keep_evidence, load_evidence
from registry.gates.config import GatesConfig
from registry.gates.evidence import evidence_suffices
from registry.gates.verdict import Verdict
from registry.history import Action, Entry, History, How
from registry.ledger import Ledger
from registry.measurements import Remeasure, Rival, case_of, gates_of, gather, on_the_same_rows
from registry.moves import TURNS, Decision, decide, finish, settled
from registry.refusals import explained
from registry.versions import CHALLENGER, CHAMPION, DEFEATED, EVIDENCE_TAG, Registry, Snapshot, Version


class Refused(RegistryError):
    """A promotion that is not allowed; the registry itself is well."""

    exit_code = 1


class NoChallenger(Refused):
    """There is nobody to promote."""


class Consent(NamedTuple):
    """Who decided, how, and why."""

    by: str
    how: How
    reason: str


class Review(BaseModel):
    """What would be approved: these versions, on this evidence, in the registry as it is."""

    model_config = ConfigDict(frozen=True)

    model_name: str
    challenger: str
    """Number of the version."""
    champion: str | None
    """Number of the version; None where the champion was deleted."""
    aliases: dict[str, str]
    epoch: int
    """Of the last decision."""
    history: str
    """Hash of the last decision."""
    evidence: Evidence
    sufficient: Verdict
    """Whether the evidence would do without a person."""

    @property
    def hash(self) -> str:
        """sha256 of all that."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def after(self) -> dict[str, str]:
        """The aliases after the promotion."""
        rest = {alias: number for alias, number in self.aliases.items() if alias != CHALLENGER}
        defeated = {DEFEATED: self.champion} if self.champion else {}
        return {**rest, **defeated, CHAMPION: self.challenger}


class Promoter:
    """Reviews and promotes the challenger of one model.

    Args:
        client: MLflow's client.
        rules: The gates.
        remeasure: Evaluates the champion where it was measured on other rows.
    """

    def __init__(self, client: MlflowClient, rules: GatesConfig, remeasure: Remeasure) -> None:
        name = registered_model_name()
        self._client, self._rules, self._remeasure = client, rules, remeasure
        self._registry, self._ledger = Registry(name, client), Ledger(name, client)

    def review(self) -> Review:
        """What would be approved now.

        Raises:
            NoChallenger: there is no challenger.
            Refused: it or its evidence is not what was registered.
            RegistryError: the registry cannot be read, or was changed by other means.
        """
        return self._review(*settled(self._registry, self._ledger))

    def _review(self, history: History, snapshot: Snapshot) -> Review:
        challenger, champion = snapshot.holder(CHALLENGER), snapshot.holder(CHAMPION)
        if challenger is None:
            raise NoChallenger(
                "There is no challenger, so nothing can be promoted. See: news-classifier registry status."
            )
        with explained(f"read the evaluation of version {challenger.number}"):
            evaluation = whole_evaluation(challenger.run_id or "")
        rival = champion and Rival(
            champion, on_the_same_rows(self._registry.name, champion, evaluation, self._remeasure)
        )
        gates = gates_of(evaluation, self._rules)
        evidence = gather(
            self._registry.name, evaluation, rival, history, self._rules, gates, version=challenger.number
        )
        registered = unchanged(challenger, evidence.candidate)
        if champion and evidence.champion:
            unchanged(champion, evidence.champion)
        return Review(
            model_name=self._registry.name,
            challenger=challenger.number,
            champion=champion.number if champion else None,
            aliases=dict(snapshot.aliases),
            epoch=len(history.entries),
            history=history.hash,
            evidence=evidence,
            sufficient=sufficient(evidence, registered.rules),
        )

    def promote(self, reviewed: Review, consent: Consent) -> Entry:
        """Move the aliases, if what was reviewed is still what is there.

        Raises:
            Refused: something changed since the review.
            Overtaken: somebody else decided first.
            RegistryError: a store refused. The message says whether the decision stands.
        """
        with TURNS:
            history, snapshot = settled(self._registry, self._ledger)
            not_overtaken(reviewed, history)
            now = self._review(history, snapshot)
            if now.hash != reviewed.hash:
                raise Refused(f"Not promoted: since the review {difference(reviewed, now)} changed. Review it again.")
            return self._record(now, "promote", consent, now.after)

    def refuse(self, reviewed: Review, consent: Consent) -> Entry:
        """Write into the history that a person said no; no alias moves."""
        return self._record(reviewed, "refuse", consent, reviewed.aliases)

    def _record(self, review: Review, action: Action, consent: Consent, after: Mapping[str, str]) -> Entry:
        history = finish(self._registry, self._ledger)
        not_overtaken(review, history)
        if action == "promote":
            keep_evidence(self._client, review.evidence)
        decision = Decision(
            action=action,
            version=review.challenger,
            by=consent.by,
            how=consent.how,
            reason=consent.reason,
            after=after,
            evidence=review.evidence.hash if action == "promote" else None,
            approved=review.hash,
        )
        return decide(self._registry, self._ledger, history, review.aliases, decision)


def not_overtaken(review: Review, history: History) -> None:
    """Raise Refused if something was decided since a review."""
    if history.hash != review.history:
        raise Refused(f"Too late: {history.head} came first. Nothing was changed by this command; review it again.")


def sufficient(evidence: Evidence, registered_under: GatesConfig) -> Verdict:
    """Whether a promotion needs no person: the same gates as at registration pass, and the champion is beaten."""
    if evidence.rules != registered_under:
        reason = "the gates are others than those that it was registered under"
        return Verdict(gate="evidence", passed=False, reason=reason, numbers={})
    failed = [verdict.reason for verdict in evidence.gates if not verdict.passed]
    if failed:
        return Verdict(gate="evidence", passed=False, reason=f"gate failed: {'; '.join(failed)}", numbers={})
    return evidence_suffices(evidence.rules.unattended, case_of(evidence))


def unchanged(version: Version, measured: Measurement) -> Evidence:
    """The evidence that a version was registered with. Raises Refused unless its files are still the same."""
    digest = version.tags.get(EVIDENCE_TAG)
    if digest is None or version.run_id is None:
        raise Refused(
            f"Version {version.number} has no evidence: it was not registered by this product. Register its "
            "evaluation: news-classifier registry register RUN_ID."
        )
    evidence = load_evidence(version.run_id, digest)
    registered = evidence.candidate
    same = {
        "the model's files": registered.model_digest == measured.model_digest,
        "the candidate": registered.candidate.hash == measured.candidate.hash,
    }
    if measured.run_id == registered.run_id:  # and not measured again on other rows
        same["the predictions"] = registered.predictions_digest == measured.predictions_digest
        same["the figures"] = registered.metrics == measured.metrics
        same["the record"] = registered.candidate == measured.candidate
    if changed := [what for what, is_same in same.items() if not is_same]:
        raise Refused(
            f"Version {version.number} is not what was registered: {' and '.join(changed)} changed since. Nothing is "
            "promoted. Evaluate and register it anew."
        )
    return evidence


def difference(reviewed: Review, now: Review) -> str:
    """What is not as it was reviewed, by name."""
    before, after = reviewed.model_dump(), now.model_dump()
    changed = [name for name in after if name != "evidence" and before[name] != after[name]]
    if before["evidence"] != after["evidence"]:
        parts = [name for name in after["evidence"] if before["evidence"][name] != after["evidence"][name]]
        changed.append(f"evidence ({', '.join(parts)})")
    return ", ".join(changed)
