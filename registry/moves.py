"""Moves of aliases: the decision is written first, then carried out, by whoever comes by if its author does not."""

import getpass
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from agent.errors import RegistryError
from agent.redaction import redact
from registry.card import write_cards
from registry.history import REASON_CHARS, Action, Entry, History, How, Outcome, Trial
from registry.ledger import Ledger
from registry.unity_catalog import check_grants
from registry.versions import ALIASES, CHAMPION, Registry, Snapshot

LOOK_AGAIN_S = 1.0
TURNS = threading.RLock()
"""Threads that promote or roll back take turns, so that those who come too late hear it before the long work."""


class Decision(NamedTuple):
    """What somebody wants done, before it has a place in the history."""

    action: Action
    version: str | None
    by: str
    how: How
    reason: str
    after: Mapping[str, str]
    """Alias to version, as it shall be."""
    evidence: str | None = None
    approved: str | None = None
    trial: Trial | None = None


def decide(registry: Registry, ledger: Ledger, history: History, before: Mapping[str, str], wanted: Decision) -> Entry:
    """Write a decision as the next entry of the history as it was read, and carry it out.

    Raises:
        Overtaken: the history went on meanwhile; nothing was changed.
        RegistryError: a store refused, or would: Unity Catalog is asked first. The message says whether the decision
            stands.
    """
    entry = Entry(
        epoch=len(history.entries) + 1,
        previous=history.hash,
        at=datetime.now(UTC),
        before=dict(before),
        nonce=uuid.uuid4().hex,
        **wanted._replace(
            after=dict(wanted.after), by=redact(wanted.by), reason=redact(wanted.reason)[:REASON_CHARS]
        )._asdict(),
    )
    if entry.after != entry.before:
        check_grants(registry.name)
    ledger.append(entry)
    try:
        outcome = finish(registry, ledger, entry).outcomes[entry.epoch]
    except RegistryError as err:
        raise RegistryError(
            f"{err} It was decided all the same: {entry}. What is left of it, the next registry command of anyone does."
        ) from err
    if not outcome.done:
        raise RegistryError(f"Not done: {entry}: {outcome.reason}. The aliases are as they were before.")
    return entry


def finish(registry: Registry, ledger: Ledger, own: Entry | None = None) -> History:
    """Carry out what was decided and not finished, whoever decided it, until nothing is under way.

    A process that was suspended between its moves may have put an alias where a later decision no longer wants it. So
    whoever moved aliases looks again, and puts them where the history wants them.

    Args:
        registry: Whose aliases are moved.
        ledger: Its history.
        own: The caller's own decision, which nobody else gives up.

    Raises:
        RegistryError: a store refused, or the history was edited.
    """
    put: Mapping[str, str] | None = None
    while True:
        history = trusted(ledger.read())
        head, wanted = history.head, history.aliases
        if head is None or wanted is None or (history.is_settled and put in (None, wanted)):
            return history
        if history.is_settled:
            restore(registry, wanted)
            put = wanted
        else:
            outcome = _carry_out(registry, history, head, is_own=own == head)
            ledger.settle(head, outcome)
            put = head.after if outcome.done else head.before


def settled(registry: Registry, ledger: Ledger) -> tuple[History, Snapshot]:
    """The history with nothing under way, and the registry, which agrees with it.

    Aliases that are elsewhere are looked at again: a decision may have come meanwhile, or somebody who was overtaken is
    about to correct what he moved.

    Raises:
        RegistryError: as `finish` does, or aliases were moved by other means.
    """
    seen: tuple[str, list[str]] | None = None
    while True:
        history = finish(registry, ledger)
        snapshot = registry.snapshot()
        moved = strays(snapshot, history)
        if not moved:
            return history, snapshot
        if seen == (history.hash, moved):
            raise RegistryError(
                f"Aliases were moved by other means than this product: {'; '.join(moved)}. Nothing is changed. Put "
                "them back: news-classifier registry verify --repair, or rollback where the champion was deleted."
            )
        seen = (history.hash, moved)
        time.sleep(LOOK_AGAIN_S)


def restore(registry: Registry, wanted: Mapping[str, str]) -> None:
    """Put the aliases where they are wanted. Where the champion is deleted, whoever stands in for it stays.

    Raises:
        RegistryError: a store refused.
    """
    possible = _existing(registry, wanted)
    if CHAMPION in wanted and CHAMPION not in possible:
        possible |= {alias: number for alias, number in registry.aliases().items() if alias == CHAMPION}
    registry.put_aliases(possible)


def trusted(history: History) -> History:
    """The history, if its chain is whole. Raises RegistryError."""
    if history.problems:
        raise RegistryError(
            f"The history cannot be trusted, so nothing is moved: {'; '.join(history.problems)}. "
            "Look at it: news-classifier registry verify."
        )
    return history


def strays(snapshot: Snapshot, history: History) -> list[str]:
    """The aliases that are not where the history put them, other than those that a version's deletion took away."""
    wanted = history.aliases
    if wanted is None:
        return []
    existing = {version.number for version in snapshot.versions}
    gone = {alias for alias, number in wanted.items() if number not in existing}
    return [
        f"{alias} is version {snapshot.aliases.get(alias, 'none')} and should be {wanted.get(alias, 'none')}"
        for alias in ALIASES
        if snapshot.aliases.get(alias) != wanted.get(alias) and not (alias in gone and alias not in snapshot.aliases)
    ]


def _carry_out(registry: Registry, history: History, entry: Entry, *, is_own: bool) -> Outcome:
    """Move the aliases, or put them back where the champion to be is gone; one's own that is refused is given up."""
    wanted = _existing(registry, entry.after)
    if CHAMPION in entry.after and CHAMPION not in wanted:
        restore(registry, entry.before)
        reason = f"version {entry.after[CHAMPION]} does not exist any more"
        return Outcome(entry=entry.hash, done=False, reason=reason)
    try:
        registry.put_aliases(wanted)
    except RegistryError as err:
        if not is_own:
            raise RegistryError(f"{err} Nor is this finished: {entry}. The next registry command does it.") from err
        if registry.aliases() != entry.before:
            raise
        return Outcome(entry=entry.hash, done=False, reason=str(err)[:REASON_CHARS])
    done = Outcome(entry=entry.hash, done=True, reason="")
    if entry.action == "register":  # whose card was written with the version
        return done
    after = history._replace(outcomes={**history.outcomes, entry.epoch: done})
    try:
        write_cards(registry, after, [entry.version])
    except RegistryError as err:  # the aliases are what counts; verify finds the card and repairs it
        return done.model_copy(update={"reason": f"without its card: {err}"[:REASON_CHARS]})
    return done


def _existing(registry: Registry, aliases: Mapping[str, str]) -> dict[str, str]:
    return {alias: number for alias, number in aliases.items() if registry.exists(number)}


def user() -> str:
    """Who runs this command, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
