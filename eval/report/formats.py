"""Numbers as text. What these functions return holds digits, signs and words of ours only, so it is safe anywhere."""

from collections.abc import Callable, Mapping

from eval.render import short
from eval.report.figures import Cell


def fraction(value: float) -> str:
    """A fraction in [0, 1] as the tables of the command line write it: .957."""
    return short(value)


def interval(cell: Cell) -> str:
    """The 95 % interval of a fraction; empty where there is none."""
    return "" if cell.low is None or cell.high is None else f"{short(cell.low)} to {short(cell.high)}"


def decimal(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}"


def number(value: float) -> str:
    """A count."""
    return f"{value:,.0f}"


def money(value: float | None) -> str:
    """US dollars, with four decimals below one; `unknown` for None."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def duration(value_ms: float | None) -> str:
    """Milliseconds or seconds, three digits that count."""
    if value_ms is None:
        return "unknown"
    if value_ms >= 1000:
        return f"{value_ms / 1000:,.2f} s"
    return f"{value_ms:.0f} ms" if value_ms >= 100 else f"{value_ms:.3g} ms"


FORMATS: Mapping[str, Callable[..., str]] = {
    function.__name__: function for function in (fraction, interval, decimal, number, money, duration)
}
"""The filters that templates know."""
