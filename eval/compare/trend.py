"""A candidate over its last runs, and the picture of that. Runs on different labelled sets are never one line."""

import math
from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from eval.compare.compare import run_beside
from eval.compare.records import MeasuredFigure, Trend
from eval.compare.run_choice import last_runs
from eval.report.text import cleaner, shortened
from eval.runs import load_evaluation

DPI = 120
DRAWN = ("category_accuracy", "category_macro_f1", "sentiment_accuracy", "latency_ms_p95", "cost_usd_per_1k")
MOST_TICKS = 8
TITLE_CHARS = 60
BARS = "▁▂▃▄▅▆▇█"


def trend(count: int, agent: str | None = None) -> Trend:
    """The last runs of a candidate.

    Args:
        count: How many at most.
        agent: Name of the candidate; without, the one of the newest run.

    Raises:
        DataError: it has none, or one of them cannot be read.
    """
    runs = [run_beside(load_evaluation(run_id)) for run_id in last_runs(count, agent)]
    return Trend(agent=runs[-1].agent, runs=tuple(runs))


def sparkline(values: Sequence[float]) -> str:
    """One bar of eight heights for each value, lowest to highest; empty where nothing changes."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low == high:
        return ""
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in values)


def draw_trend(found: Trend) -> bytes:
    """A PNG picture: one panel for each figure, one line for each labelled set."""
    names = [name for name in DRAWN if any(found.series(name))] or [DRAWN[0]]
    canvas = Canvas(figsize=(8, 1 + 2 * len(names)), layout="constrained")
    panels = canvas.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        _draw_panel(axes, name, found.series(name))
    ticks = range(0, len(found.runs), math.ceil(len(found.runs) / MOST_TICKS))
    dates = [f"{found.runs[place].started_at:%Y-%m-%d\n%H:%M}" for place in ticks]
    panels[-1].set_xticks(ticks, dates, fontsize="small")
    panels[-1].set_xlim(-0.5, len(found.runs) - 0.5)
    if len(found.digests) > 1:
        panels[0].legend(fontsize="small", title="not comparable with each other")
    name = shortened(cleaner()(found.agent), TITLE_CHARS)
    canvas.suptitle(f"{name}: last {len(found.runs)} runs", parse_math=False)
    picture = BytesIO()
    canvas.savefig(picture, format="png", dpi=DPI)
    return picture.getvalue()


def _draw_panel(axes: Axes, name: str, series: Sequence[Sequence[tuple[int, MeasuredFigure]]]) -> None:
    for number, points in enumerate(series, 1):
        places = [place for place, _ in points]
        values = [figure.value for _, figure in points]
        whiskers = list(zip(*(_whiskers(figure) for _, figure in points), strict=True)) or None
        axes.errorbar(places, values, yerr=whiskers, marker="o", capsize=3, label=f"labelled set {number}")
    axes.set_title(name, fontsize="medium", loc="left")
    axes.grid(visible=True, alpha=0.3)


def _whiskers(figure: MeasuredFigure) -> tuple[float, float]:
    """Lengths of the interval below and above the value."""
    if figure.low is None or figure.high is None:
        return 0.0, 0.0
    return max(0.0, figure.value - figure.low), max(0.0, figure.high - figure.value)
