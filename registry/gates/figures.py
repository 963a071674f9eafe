"""What gates share: numbers of rules, figures that are really there, limits that floating point does not move."""

import math
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; YAML's `no` and `.inf` are none, so that a gate cannot be switched off by accident."""
Rows = Annotated[int, Field(strict=True, ge=0)]
"""A number of articles."""
DECIMALS = 9
"""Differences are rounded to this many places, so that floating point does not reject exactly +2 points."""


class Seen(NamedTuple):
    """A figure as a gate found it."""

    numbers: dict[str, float]
    """The figure and the number of its articles, those that are there."""
    problem: str | None
    """Why it cannot be judged."""


def known(metrics: Mapping[str, float], *names: str) -> dict[str, float]:
    """The figures of these names that are there and finite."""
    return {name: metrics[name] for name in names if name in metrics and math.isfinite(metrics[name])}


def look(metrics: Mapping[str, float], name: str, min_rows: int, rows: str = "articles") -> Seen:
    """Find a figure that must rest on enough articles, whose number is the figure `rows`."""
    numbers = known(metrics, name, rows)
    if name not in numbers:
        return Seen(numbers, f"{name} is missing")
    return Seen(numbers, too_few(name, numbers.get(rows), min_rows))


def too_few(name: str, rows: float | None, min_rows: int) -> str | None:
    """What is wrong with a figure that was measured on so many articles; None where they are enough."""
    if (rows or 0) >= min_rows:
        return None
    measured = "an unknown number of" if rows is None else f"{rows:.0f}"
    return f"{name} was measured on {measured} articles, at least {min_rows} are needed"


def reaches(value: float, limit: float) -> bool:
    """Whether a finite value is at least a limit; reaching it exactly counts."""
    return round(value - limit, DECIMALS) >= 0
