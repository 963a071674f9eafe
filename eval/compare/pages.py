"""A page of lines and tables, before anything is known about terminals, Markdown or HTML.

Text that is no `Markup` may come from a stranger; whoever writes it down makes it inert.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

HEADLINE = (
    *("category_accuracy", "category_macro_f1", "sentiment_accuracy", "sentiment_macro_f1", "joint_accuracy"),
    *("unknown_rate", "error_rate", "latency_ms_p50", "latency_ms_p95", "cost_usd_per_1k"),
)
"""Figures that a terminal shows; pages have the others too."""
FEW = ("category_accuracy", "sentiment_accuracy", "latency_ms_p95", "cost_usd_per_1k")
"""Figures that fit where every run is a row."""
MOST_COLUMNS = 4
"""With more runs or groups than this, each is a row."""


Tone = Literal["better", "worse", ""]


class Line(NamedTuple):
    """Something that is said about a run or a group."""

    about: str
    text: str


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    tone: Tone = ""


class Grid(NamedTuple):
    """A table; the first row and the first column are headings."""

    caption: str
    rows: tuple[tuple[Cell, ...], ...]


class Page(NamedTuple):
    """Lines first, what matters most on top; then tables."""

    title: str
    lines: tuple[Line, ...]
    grids: tuple[Grid, ...]
    details: tuple[Grid, ...] = ()
    """Tables that a terminal has no room for."""
    picture: str | None = None
    """PNG, in base64."""
    warns: bool = False
    """Whether the lines say something that is not as it should be."""


def headline(subjects: int) -> Sequence[str]:
    """Figures that a table of so many runs or groups has room for."""
    return FEW if subjects > MOST_COLUMNS else HEADLINE


def turned(rows: Sequence[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    """A table with a heading row, its rows made columns unless they are many."""
    return tuple(rows) if len(rows) > MOST_COLUMNS + 1 else tuple(zip(*rows, strict=True))
