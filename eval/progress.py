"""How far an evaluation is."""

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """What is known after each answer."""

    done: int
    """Articles answered, failed ones included."""
    total: int
    """Of all repeats."""
    failed: int
    retried: int
    """Articles that took more than one call."""
    cached: int
    """Articles whose answers were in the journal."""
    in_flight: int
    spent_usd: float | None
    """Of the calls made now; None when a price is not known."""


Watch = Callable[[Progress], None]
"""Told how far an evaluation is, from whichever thread the answers come in."""


def nobody(progress: Progress) -> None:
    """Nobody watches."""
