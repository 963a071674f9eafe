"""What every gate is asked about, and what it answers."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from eval.lifecycle import Lifecycle
from eval.statistics.comparison import Comparison


class Case(NamedTuple):
    """One candidate that wants an alias, and what is known about it."""

    metrics: Mapping[str, float]
    """Its figures, named as the evaluation names them; `label_flip_rate` and `compared` are those of a red-team run."""
    provider: str
    model: str
    champion: Mapping[str, float] | None
    """The champion's figures, measured on the same rows; None where there is no champion."""
    comparisons: Mapping[str, Comparison]
    """By task (`category`, `sentiment`, `joint`), candidate against champion on the same rows; empty where none is."""
    lifecycle: Lifecycle | None
    """The announced ends of models; None where nobody wrote them down."""
    today: date


class Verdict(BaseModel):
    """What a gate says."""

    model_config = ConfigDict(frozen=True)

    gate: str
    """Which one: the name of its module."""
    passed: bool
    reason: str
    """One line for people."""
    numbers: dict[str, float]
    """What was looked at, limits included; what is missing or not finite is missing here."""
    warning: bool = False
    """Whether a person should know although it passed."""

    @property
    def word(self) -> str:
        """`pass`, `warn` or `FAIL`, as it stands before the reason."""
        return ("warn" if self.warning else "pass") if self.passed else "FAIL"
