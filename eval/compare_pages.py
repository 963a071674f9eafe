"""What a comparison, groups and a trend say to people, in order; on a terminal or on a page is not known here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from eval.compared_runs import (
    Change,
    ComparedRun,
    ComparedRuns,
    GroupedRuns,
    MeasuredFigure,
    RunBeside,
    RunGroup,
    Trend,
)
from eval.comparison import Comparison, Difference
from eval.metrics.direction import direction_of
from eval.render import ENOUGH_ROWS, short
from eval.trend import sparkline

HEADLINE = (
    *("category_accuracy", "category_macro_f1", "sentiment_accuracy", "sentiment_macro_f1", "joint_accuracy"),
    *("unknown_rate", "error_rate", "latency_ms_p50", "latency_ms_p95", "cost_usd_per_1k"),
)
"""Figures that a table shows; pages have the others too."""
FRACTIONS = ("accuracy", "f1", "precision", "recall", "rate", "auc", "agreement", "ece")
DASH = "-"
MOST_COLUMNS = 4
"""With more runs than this, a run is a row."""


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    tone: Literal["better", "worse", ""] = ""


class Grid(NamedTuple):
    """A table; the first row and the first column are headings."""

    caption: str
    rows: tuple[tuple[Cell, ...], ...]


class Page(NamedTuple):
    """Lines first, what matters most on top; then tables."""

    title: str
    lines: tuple[str, ...]
    grids: tuple[Grid, ...]
    details: tuple[Grid, ...] = ()
    """Tables that a terminal has no room for."""
    picture: bytes | None = None
    """PNG."""


def comparison_page(compared: ComparedRuns) -> Page:
    """Verdicts, thresholds, figures side by side."""
    names = {*HEADLINE, *(result.metric for result in compared.thresholds)}
    known = dict.fromkeys(name for run in (compared.baseline, *compared.candidates) for name in run.figures)
    chosen = [*HEADLINE, *sorted(names - set(HEADLINE))]
    return Page(
        title=f"Compared with {run_label(compared.baseline)}",
        lines=(
            *(
                f"{'BROKEN' if result.broken else 'kept'}  {result.threshold} for {result.agent} ({result.run_id[:8]}): "
                f"{result.reason}"
                for result in compared.thresholds
            ),
            *partial_lines((compared.baseline, *compared.candidates)),
            *(line for run in compared.candidates for line in verdict_lines(compared.baseline, run)),
        ),
        grids=(figures_grid(compared, [name for name in chosen if name in known]),),
        details=(figures_grid(compared, [name for name in known if name not in names], "All other figures"),),
    )


def figures_grid(compared: ComparedRuns, names: Sequence[str], caption: str = "Figures") -> Grid:
    """Figures in rows and runs in columns, or the other way round where there are many runs."""
    runs: tuple[RunBeside, ...] = (compared.baseline, *compared.candidates)
    columns = [[Cell(""), Cell("started"), Cell("labelled set"), *(Cell(heading(name)) for name in names)]]
    for run in runs:
        about = [Cell(run_label(run)), Cell(f"{run.started_at:%Y-%m-%d %H:%M}"), Cell(set_label(run))]
        if isinstance(run, ComparedRun):
            figures = [change_cell(name, run.figures.get(name), run.against.changes.get(name)) for name in names]
        else:
            figures = [Cell(figure_text(name, run.figures.get(name))) for name in names]
        columns.append([*about, *figures])
    turned = columns if len(runs) > MOST_COLUMNS else list(zip(*columns, strict=True))
    return Grid(
        f"{caption}, 95 % intervals in brackets, differences from the baseline behind them",
        tuple(tuple(row) for row in turned),
    )


def verdict_lines(baseline: RunBeside, run: ComparedRun) -> list[str]:
    """What can be said about one candidate beside the baseline."""
    rows, label = run.against.rows, run_label(run)
    lines = [f"{label}: {verdict_text(one)}" for one in run.against.comparisons]
    if not rows.all_common:
        lines.insert(
            0,
            f"{label}: rows differ. {rows.common:,} rows are in common, of {rows.baseline:,} in the "
            f"baseline and {rows.candidate:,} here; the figures below are of different articles.",
        )
    if not lines or not run.against.comparisons:
        why = "there is no article that both answered" if not rows.common else "they judge no task in common"
        lines.append(f"{label}: no verdict, because {why}.")
    elif rows.common < ENOUGH_ROWS:
        lines.append(f"{label}: {rows.common} articles are too few to decide.")
    changed = ", ".join(run.against.changed) or "nothing"
    return [*lines, f"{label}: changed since the baseline: {changed}."]


def verdict_text(one: Comparison) -> str:
    """A verdict with its evidence."""
    holm = f", adjusted over {one.comparisons} comparisons" if one.comparisons > 1 else ""
    return (
        f"{one.task} {one.verdict}. Accuracy {interval_text(one.accuracy)}, macro F1 {interval_text(one.macro_f1)}, "
        f"{one.test} p = {short(one.adjusted_p_value)}{holm}, {one.rows:,} articles; "
        f"a difference of {short(one.smallest_detectable)} could have been shown."
    )


def interval_text(found: Difference) -> str:
    """A difference with its paired 95 % interval."""
    return f"{signed(found.difference)} [{signed(found.low)}, {signed(found.high)}]"


def partial_lines(runs: Sequence[RunBeside]) -> list[str]:
    """Which of the runs decide nothing."""
    return [f"{run_label(run)} decides nothing: {run.partial}." for run in runs if run.partial]


def group_page(grouped: GroupedRuns) -> Page:
    """Counts and means of each group."""
    names = [name for name in HEADLINE if any(name in group.means for group in grouped.groups)]
    rest = dict.fromkeys(name for group in grouped.groups for name in group.means if name not in names)
    sets = [group for group in grouped.groups if group.datasets > 1]
    return Page(
        title=f"Evaluations by {grouped.by}",
        lines=(
            *(
                f"{group.value or DASH}: its runs were measured on {group.datasets} labelled sets; their mean mixes them."
                for group in sets
            ),
            *(
                f"{group.value or DASH}: {group.partial} of its runs are partial and decide nothing."
                for group in grouped.groups
                if group.partial
            ),
            "Means are weighted by articles. Groups can hold different articles, so this is no test of a difference.",
        ),
        grids=(group_grid(grouped, names),),
        details=(group_grid(grouped, list(rest)),),
    )


def group_grid(grouped: GroupedRuns, names: Sequence[str]) -> Grid:
    """A group in each row."""
    header = (Cell(grouped.by), Cell("runs"), Cell("articles"), Cell("sets"), *(Cell(heading(name)) for name in names))
    rows = [
        (
            Cell(group.value or DASH),
            Cell(str(len(group.run_ids))),
            Cell(f"{group.articles:,}"),
            Cell(str(group.datasets)),
            *(mean_cell(name, group) for name in names),
        )
        for group in grouped.groups
    ]
    return Grid("Counts and means", (header, *rows))


def mean_cell(name: str, group: RunGroup) -> Cell:
    """A mean, and of how many runs where some lack it."""
    found = group.means.get(name)
    if found is None:
        return Cell(DASH)
    of = "" if found.runs == len(group.run_ids) else f" ({found.runs} of {len(group.run_ids)} runs)"
    return Cell(value_text(name, found.mean) + of)


def trend_page(found: Trend, picture: bytes | None = None) -> Page:
    """A run in each row, oldest first, and a line of bars for each figure and labelled set."""
    names = [name for name in HEADLINE if any(name in run.figures for run in found.runs)]
    digests = found.digests
    header = (Cell("run"), Cell("started"), Cell("labelled set"), *(Cell(heading(name)) for name in names))
    rows = [
        (
            Cell(run.run_id[:8] + (" (partial)" if run.partial else "")),
            Cell(f"{run.started_at:%Y-%m-%d %H:%M}"),
            Cell(f"{digests.index(run.dataset.digest) + 1}: {set_label(run)}"),
            *(Cell(figure_text(name, run.figures.get(name))) for name in names),
        )
        for run in found.runs
    ]
    lines = [
        f"{heading(name)}, labelled set {number}: {bars} {value_text(name, values[0])} to {value_text(name, values[-1])}"
        for name in names
        for number, points in enumerate(found.series(name), 1)
        if (bars := sparkline(values := [figure.value for _, figure in points]))
    ]
    note = [f"The runs were measured on {len(digests)} labelled sets; only figures of the same set are comparable."]
    return Page(
        title=f"{found.agent}: last {len(found.runs)} runs",
        lines=(*partial_lines(found.runs), *(note if len(digests) > 1 else []), *lines),
        grids=(Grid("Figures, oldest first", (header, *rows)),),
        picture=picture,
    )


def run_label(run: RunBeside) -> str:
    """Name of the candidate and the start of the run's id."""
    return f"{run.agent} {run.run_id[:8]}{' (partial)' if run.partial else ''}"


def set_label(run: RunBeside) -> str:
    """File, articles and digest of a labelled set."""
    return f"{Path(run.dataset.path).name}, {run.dataset.rows:,} articles, {run.dataset.digest[:8]}"


def heading(name: str) -> str:
    """The name of a metric with an arrow that says which way is good."""
    return f"{name} {({'up': '↑', 'down': '↓'}).get(direction_of(name) or '', '')}".strip()


def change_cell(name: str, figure: MeasuredFigure | None, change: Change | None) -> Cell:
    """A figure and its difference from the baseline."""
    if change is None or change.difference is None:
        return Cell(figure_text(name, figure))
    said = difference_text(name, change.difference) + (f", {change.outcome}" if change.outcome else "")
    return Cell(f"{figure_text(name, figure)} ({said})", change.outcome or "")


def figure_text(name: str, figure: MeasuredFigure | None) -> str:
    """A figure with its interval; a dash where it is missing."""
    if figure is None:
        return DASH
    if figure.low is None or figure.high is None:
        return value_text(name, figure.value)
    return f"{value_text(name, figure.value)} [{value_text(name, figure.low)}, {value_text(name, figure.high)}]"


def value_text(name: str, value: float) -> str:
    """A value in the form of its metric."""
    if name.startswith("cost_usd"):
        return f"${value:,.4f}"
    if name.startswith("latency_ms"):
        return f"{value:,.1f}"
    if is_fraction(name) and 0 <= value <= 1:
        return short(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def difference_text(name: str, difference: float) -> str:
    """A difference with its sign, in the form of its metric."""
    return ("-" if difference < 0 else "+") + value_text(name, abs(difference))


def signed(fraction: float) -> str:
    """A difference of fractions with its sign."""
    return ("-" if fraction < 0 else "+") + short(abs(fraction))


def is_fraction(name: str) -> bool:
    """Whether a metric is a fraction of something."""
    return name.partition(".")[0].endswith(FRACTIONS)
