"""Figures with their limits, as the measurements of this folder print them."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Figure(NamedTuple):
    """One row of a table."""

    what: str
    value: float
    limit: float | None = None
    """The most that the value may be; None for what is only told."""
    unit: str = ""
    beside: str = ""
    at_least: bool = False
    """Whether the limit is the least that the value may be instead."""

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def load_average() -> str:
    """How busy the machine was in the last minute."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def shown(value: float, unit: str) -> str:
    """A value with its unit."""
    if unit == "$":
        return f"${value:.6f}"
    digits = {"x": 2, "ms": 2, "s": 1}.get(unit, 0 if float(value).is_integer() else 1)
    return f"{value:,.{digits}f} {unit}".rstrip()


def shown_limit(figure: Figure) -> str:
    """What the value may be."""
    if figure.limit is None:
        return ""
    return f"{'at least ' if figure.at_least else ''}{shown(figure.limit, figure.unit)}"


def measured(title: str, part: Callable[[Path], Iterator[Figure]], console: Console) -> bool:
    """Measure one part in a folder of its own and print it; whether its limits are kept."""
    before = load_average()
    with tempfile.TemporaryDirectory() as folder:
        figures = list(part(Path(folder)))
    table = Table(title=title, title_justify="left", caption=f"before: {before}; after: {load_average()}")
    for column in ("what", "figure", "limit", "", "beside it"):
        table.add_column(column, justify="right" if column in ("figure", "limit") else "left")
    for each in figures:
        verdict = "" if each.limit is None else "ok" if each.kept else "OVER"
        table.add_row(each.what, shown(each.value, each.unit), shown_limit(each), verdict, each.beside)
    console.print(table)
    return all(each.kept for each in figures)
