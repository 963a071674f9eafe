"""Words for runs, figures and differences. `Markup` is what holds nothing but digits, signs and words of ours."""

from pathlib import Path

from markupsafe import Markup

from eval.compare.records import Change, MeasuredFigure, RunBeside
from eval.metrics.direction import direction_of
from eval.render import short
from eval.statistics.comparison import Difference

DASH = Markup("-")
ARROWS = {"up": " ↑", "down": " ↓", None: ""}
FRACTIONS = ("accuracy", "f1", "precision", "recall", "rate", "auc", "agreement", "ece")


def run_label(run: RunBeside) -> str:
    """Name of the candidate and the start of the run's id."""
    return f"{run.agent} {run.run_id[:8]}{' (partial)' if run.partial else ''}"


def set_label(run: RunBeside) -> str:
    """File, articles and digest of a labelled set."""
    return f"{Path(run.dataset.path).name}, {run.dataset.rows:,} articles, {run.dataset.digest[:8]}"


def heading(name: str) -> str:
    """The name of a metric with an arrow that says which way is good."""
    direction = direction_of(name)
    text = name + ARROWS[direction]
    return Markup(text) if direction and "." not in name else text  # behind the dot stands a label


def figure_text(name: str, figure: MeasuredFigure | None) -> Markup:
    """A figure with its interval; a dash where it is missing."""
    if figure is None:
        return DASH
    text = value_text(name, figure.value)
    if figure.low is None or figure.high is None:
        return Markup(text)
    return Markup(f"{text} [{value_text(name, figure.low)}, {value_text(name, figure.high)}]")


def changed_text(name: str, figure: MeasuredFigure | None, change: Change | None) -> Markup:
    """A figure and its difference from the baseline."""
    if change is None or change.difference is None:
        return figure_text(name, figure)
    said = signed(name, change.difference) + (f", {change.outcome}" if change.outcome else "")
    return figure_text(name, figure) + Markup(f" ({said})")


def interval_text(found: Difference) -> Markup:
    """A difference of accuracy or F1 with its paired 95 % interval."""
    difference, low, high = (signed("accuracy", value) for value in (found.difference, found.low, found.high))
    return Markup(f"{difference} [{low}, {high}]")


def p_text(value: float) -> Markup:
    """A p-value."""
    return Markup("below .001" if value < 0.001 else short(value))


def value_text(name: str, value: float) -> str:
    """A value in the form of its metric."""
    if name.startswith("cost_usd"):
        return f"${value:,.4f}" if value else "$0"
    if name.startswith("latency_ms"):
        return f"{value:,.1f}"
    if name.partition(".")[0].endswith(FRACTIONS) and 0 <= value <= 1:
        return short(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def signed(name: str, difference: float) -> str:
    """A difference with its sign, in the form of its metric."""
    return ("-" if difference < 0 else "+") + value_text(name, abs(difference))
