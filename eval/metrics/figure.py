"""One measured figure."""

from typing import NamedTuple

from eval.statistics.intervals import Interval


class Figure(NamedTuple):
    """A value with its 95 % interval where it has one."""

    value: float
    interval: Interval | None = None
