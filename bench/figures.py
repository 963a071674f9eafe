"""Figures with their limits, as the measurements of this folder print them."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from rich.console import Console
from rich.table import Table

WIDTH = 150


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


Part = tuple[str, Callable[[Path], Iterator[Figure]]]
"""A title, and what measures its figures in an empty folder."""


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


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str] = (), caption: str = ""
) -> None:
    """Print a table on standard output.

    Args:
        title: Above it.
        columns: Their names.
        rows: Of one cell a column.
        left: Columns of words; the others are figures.
        caption: Below it.
    """
    table = Table(title=title, title_justify="left", caption=caption or None)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH).print(table)


def measured(title: str, figures: Callable[[Path], Iterator[Figure]]) -> bool:
    """Measure one part in a folder of its own and print it; whether its limits are kept."""
    before = load_average()
    with tempfile.TemporaryDirectory() as folder:
        found = list(figures(Path(folder)))
    rows = []
    for each in found:
        verdict = "" if each.limit is None else "ok" if each.kept else "OVER"
        rows.append((each.what, shown(each.value, each.unit), shown_limit(each), verdict, each.beside))
    columns = ("what", "figure", "limit", "", "beside it")
    caption = f"before: {before}; after: {load_average()}"
    print_table(title, columns, rows, left=("what", "", "beside it"), caption=caption)
    return all(each.kept for each in found)


def measure_parts(parts: Iterable[Part]) -> NoReturn:
    """Measure and print one part after the other, and exit: with 1 where a limit is not kept."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    kept = [measured(*part) for part in parts]
    sys.exit(0 if all(kept) else 1)
