"""The history of a registered model: what was decided, in an order that every process agrees on.

Each entry names the one before it by its hash, so that an entry which was edited later shows. Whoever can rewrite the
whole chain, and what the versions say of it, is not found out by this.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from eval.plain_text import printable

Action = Literal["register", "promote", "refuse", "rollback"]
How = Literal["automatic", "terminal", "hash", "tag", "unattended"]
"""Approved by nobody, at a terminal, by the hash of a review, by a version's tag, by evidence that suffices."""
REASON_CHARS = 1000
FIRST = "0" * 64
"""What the first entry names as the one before it."""


class Trial(BaseModel):
    """A candidate that was compared with the champion; those of one champion and set are judged together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion: str
    """Number of the version."""
    dataset_digest: str
    candidate_hash: str
    p_values: dict[str, float]
    """By task, two-sided, before any adjustment."""


class Entry(BaseModel):
    """One decision, and what it makes of the aliases. It is written before they are moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(ge=1)
    previous: str
    """Hash of the entry before."""
    action: Action
    version: str | None
    """What it is about; None for a candidate that was not registered."""
    at: datetime
    """UTC."""
    by: str
    how: How
    reason: str = Field(max_length=REASON_CHARS)
    evidence: str | None = None
    """Hash of the evidence that it rests on."""
    approved: str | None = None
    """Hash of the review that was approved."""
    before: dict[str, str]
    """Alias to version, as it was."""
    after: dict[str, str]
    trial: Trial | None = None
    nonce: str
    """Tells two entries apart that say the same, so that only one of them can win."""

    @property
    def hash(self) -> str:
        """sha256 of what was written."""
        return hashlib.sha256(written(self).encode()).hexdigest()

    def __str__(self) -> str:
        """In one line, for whoever was overtaken by it."""
        about = f" of version {self.version}" if self.version else ""
        by = printable(self.by)
        return f"{self.action}{about} by {by} at {self.at:%Y-%m-%d %H:%M:%S} UTC (epoch {self.epoch})"


class Outcome(BaseModel):
    """What became of an entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str
    """Hash of the entry."""
    done: bool
    """Whether the aliases were moved; otherwise they stayed, or went back."""
    reason: str = ""
    """Why not."""


class History(NamedTuple):
    """All entries, oldest first, and what became of them."""

    entries: Sequence[Entry] = ()
    outcomes: Mapping[int, Outcome] = {}
    problems: Sequence[str] = ()
    """Why it cannot be trusted; empty when the chain is whole."""

    @property
    def head(self) -> Entry | None:
        """The last entry."""
        return self.entries[-1] if self.entries else None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return self.head is None or self.head.epoch in self.outcomes

    @property
    def aliases(self) -> dict[str, str] | None:
        """Where the aliases belong; None before the first entry."""
        if self.head is None:
            return None
        outcome = self.outcomes.get(self.head.epoch)
        return self.head.after if outcome is None or outcome.done else self.head.before

    @property
    def hash(self) -> str:
        """Of the last entry."""
        return self.head.hash if self.head else FIRST

    def done(self) -> list[Entry]:
        """The entries that took effect."""
        return [entry for entry in self.entries if (outcome := self.outcomes.get(entry.epoch)) and outcome.done]

    def decisions_on(self, version: str) -> list[Entry]:
        """What was decided on a version and is in effect, or under way."""
        about = [entry for entry in self.entries if entry.version == version]
        return [entry for entry in about if (outcome := self.outcomes.get(entry.epoch)) is None or outcome.done]

    def champions(self) -> list[str]:
        """Every version that was champion, newest first, each once."""
        found = [entry.after["champion"] for entry in reversed(self.done()) if "champion" in entry.after]
        if self.entries and "champion" in self.entries[0].before:
            found.append(self.entries[0].before["champion"])
        return list(dict.fromkeys(found))

    def succession(self) -> list[str]:
        """The champions that led to the present one, oldest first; a rollback takes away those that it went back over.

        So a second rollback goes further back, and not to the version that the first one took out of service.
        """
        found: list[str] = []
        befores = [entry.before for entry in self.entries[:1]]
        for aliases in (*befores, *(entry.after for entry in self.done())):
            champion = aliases.get("champion")
            if champion in found:
                del found[found.index(champion) + 1 :]
            elif champion:
                found.append(champion)
        return found

    def trials(self, champion: str, dataset_digest: str) -> dict[str, Trial]:
        """What was compared with a champion on a set, by the hash of the candidate."""
        found = [entry.trial for entry in self.entries if entry.trial]
        return {
            trial.candidate_hash: trial
            for trial in found
            if (trial.champion, trial.dataset_digest) == (champion, dataset_digest)
        }


def written(record: BaseModel) -> str:
    """The JSON that is kept of a record: what it was made with, so that fields of a later day do not change it."""
    return record.model_dump_json(exclude_unset=True)


def chain_problems(entries: Sequence[Entry], outcomes: Mapping[int, Outcome]) -> list[str]:
    """Where a chain is broken: a gap, an entry that is not what the next one or its outcome says, no champion."""
    problems = []
    previous = FIRST
    for place, entry in enumerate(entries, start=1):
        if entry.epoch != place:
            problems.append(f"the entry of epoch {place} is missing")
            break
        if entry.previous != previous:
            problems.append(f"epoch {place} does not follow the entry before it: one of them was edited")
        outcome = outcomes.get(place)
        if outcome and outcome.entry != entry.hash:
            problems.append(f"epoch {place} is not the entry that was carried out: it was edited")
        if outcome is None and place < len(entries):
            problems.append(f"epoch {place} was never finished, and epoch {place + 1} came after it")
        if "champion" in entry.before and "champion" not in entry.after:
            problems.append(f"epoch {place} leaves no champion")
        previous = entry.hash
    problems += [f"epoch {epoch} has an outcome and no entry" for epoch in outcomes if epoch > len(entries)]
    return problems
