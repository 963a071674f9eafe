"""Whether aliases, tags, evidence and history agree, and putting the aliases back where the history has them."""

from collections.abc import Iterator
from typing import NamedTuple

from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.errors import RegistryError
from registry.card import is_current_card, write_cards
from registry.evidence import Measurement, load_evidence
from registry.history import History
from registry.ledger import Ledger
from registry.moves import finish, restore, strays
from registry.versions import ALIASES, EVIDENCE_TAG, MEASURED_TAGS, REGISTERED_AS_TAG, Registry, Snapshot, Version


class Finding(NamedTuple):
    """Something that does not agree, and what to do about it."""

    problem: str
    remedy: str

    @property
    def is_wrong(self) -> bool:
        """Whether something is to be done; that a version was deleted stays in the history for ever."""
        return self.remedy != NOTHING


REPAIR = "news-classifier registry verify --repair"
NOTHING = "nothing; it is reported because it is so"


def verify(client: MlflowClient) -> list[Finding]:
    """Everything that does not agree; reads only.

    Raises:
        RegistryError: the registry or the history cannot be read.
    """
    name = registered_model_name()
    registry, ledger = Registry(name, client), Ledger(name, client)
    history, snapshot = ledger.read(), registry.snapshot()
    return [
        *(Finding(problem, "ask who can write to the tracking store") for problem in history.problems),
        *alias_findings(snapshot, history),
        *deleted_findings(snapshot, history),
        *(found for version in snapshot.versions for found in version_findings(version, history)),
    ]


def repair(client: MlflowClient) -> None:
    """Finish what was begun, put the aliases where the history has them, write the cards anew.

    Raises:
        RegistryError: a store refused, or the history itself was edited.
    """
    name = registered_model_name()
    registry, ledger = Registry(name, client), Ledger(name, client)
    history = finish(registry, ledger)
    if history.aliases is not None:
        restore(registry, history.aliases)
        finish(registry, ledger)
    write_cards(registry, history, list(registry.aliases().values()))


def alias_findings(snapshot: Snapshot, history: History) -> Iterator[Finding]:
    """What is under way, and aliases that are not where the history has them."""
    if not history.is_settled:
        yield Finding(f"not finished: {history.head}", REPAIR)
        return
    for stray in strays(snapshot, history):
        yield Finding(f"alias {stray}", REPAIR)


def deleted_findings(snapshot: Snapshot, history: History) -> Iterator[Finding]:
    """Versions that are gone, and aliases that point to nothing."""
    existing = {version.number for version in snapshot.versions}
    for alias in ALIASES:
        if (number := snapshot.aliases.get(alias)) and number not in existing:
            yield Finding(f"alias {alias} points to version {number}, which does not exist", "move or delete the alias")
    champion = (history.aliases or {}).get("champion")
    for number in dict.fromkeys(entry.version for entry in history.entries if entry.version):
        if number not in existing:
            remedy = "news-classifier registry rollback" if number == champion else NOTHING
            yield Finding(
                f"version {number} was deleted" + (", and it was champion" if number == champion else ""), remedy
            )


def version_findings(version: Version, history: History) -> Iterator[Finding]:
    """What does not agree about one version: its place in the history, its evidence, its tags, its card."""
    if REGISTERED_AS_TAG not in version.tags:
        remedy = "evaluate and register its candidate, and promote that" if version.aliases else NOTHING
        yield Finding(f"version {version.number} was not registered by this product", remedy)
        return
    entries = history.decisions_on(version.number)
    if not entries:
        yield Finding(
            f"the registration of version {version.number} was interrupted",
            f"news-classifier registry register {version.run_id}",
        )
        return
    digest = version.tags.get(EVIDENCE_TAG)
    kept = entries[0].evidence
    if digest != kept:
        yield Finding(f"version {version.number} names evidence {digest}, the history {kept}", f"set the tag to {kept}")
    if kept is None or version.run_id is None:
        return
    read: dict[str, Measurement] = {}
    for name in dict.fromkeys(entry.evidence for entry in entries if entry.evidence):
        try:
            read[name] = load_evidence(version.run_id, name).candidate
        except RegistryError as err:
            yield Finding(f"version {version.number}: {err}", "evaluate and register the candidate anew")
    if (measured := read.get(kept)) is None:
        return
    yield from tag_findings(version, measured)
    if version.aliases and not is_current_card(version, history):
        yield Finding(f"the card of version {version.number} is not up to date", REPAIR)


def tag_findings(version: Version, measured: Measurement) -> Iterator[Finding]:
    """Tags that are not what was measured."""
    expected = {tag: repr(measured.metrics[name]) for tag, name in MEASURED_TAGS.items() if name in measured.metrics}
    expected |= {"dataset_digest": measured.dataset.digest, "candidate_hash": measured.candidate.hash}
    for tag, value in expected.items():
        if version.tags.get(tag) != value:
            said = version.tags.get(tag)
            yield Finding(
                f"version {version.number} has the tag {tag}={said!r}, its evidence {value!r}", f"set it to {value}"
            )
