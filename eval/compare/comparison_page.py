"""What a comparison, groups and a trend say to people, in order; on a terminal or on a page is not known here."""

import base64
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from eval.compare.pages import FEW, Cell, Grid, Line, Page, headline, turned
from eval.compare.records import ComparedRun, ComparedRuns, GroupedRuns, RunBeside, RunGroup, Trend
from eval.compare.text import (
    DASH,
    changed_text,
    figure_text,
    heading,
    interval_text,
    p_text,
    run_label,
    set_label,
    value_text,
)
from eval.compare.trend import sparkline
from eval.render import ENOUGH_ROWS, short
from eval.statistics.comparison import Comparison


def comparison_page(compared: ComparedRuns) -> Page:
    """Thresholds, verdicts, figures side by side."""
    runs: tuple[RunBeside, ...] = (compared.baseline, *compared.candidates)
    known = dict.fromkeys(name for run in runs for name in run.figures)
    asked = dict.fromkeys(result.metric for result in compared.thresholds)
    shown = [name for name in dict.fromkeys([*headline(len(runs)), *asked]) if name in known]
    rest = [name for name in known if name not in shown]
    return Page(
        title=f"Runs against the baseline {run_label(compared.baseline)}",
        warns=bool(compared.broken) or any(run.partial for run in runs),
        lines=(
            *threshold_lines(compared),
            *partial_lines(runs),
            *(line for run in compared.candidates for line in candidate_lines(compared.baseline, run)),
        ),
        grids=(*verdict_grids(compared.candidates), figures_grid(runs, shown, "Figures")),
        details=(figures_grid(runs, rest, "All other figures"),) if rest else (),
    )


def threshold_lines(compared: ComparedRuns) -> Iterator[Line]:
    """What each threshold says."""
    for result in compared.thresholds:
        word = "broken" if result.broken else "kept"
        yield Line(f"{result.agent} {result.run_id[:8]}", f"threshold {word}: {result.threshold}, {result.reason}.")


def partial_lines(runs: Sequence[RunBeside]) -> Iterator[Line]:
    """Which of the runs decide nothing."""
    for run in runs:
        if run.partial:
            yield Line(run_label(run), f"decides nothing, because it is partial: {run.partial}.")


def candidate_lines(baseline: RunBeside, run: ComparedRun) -> Iterator[Line]:
    """What can be said about one candidate beside the baseline."""
    rows, label = run.against.rows, run_label(run)
    if not rows.all_common:
        counts = f"{rows.common:,} are in common, of {rows.baseline:,} in the baseline and {rows.candidate:,} here"
        yield Line(label, Markup(f"rows differ: {counts}. The table's figures are of different articles."))
    if not run.against.comparisons:
        why = "they judge no task in common" if rows.common else "no article was answered by both"
        yield Line(label, Markup(f"no verdict, because {why}."))
    elif rows.common < ENOUGH_ROWS:
        yield Line(label, Markup(f"{rows.common} articles are too few to decide."))
    if run.agent == baseline.agent:
        yield Line(label, Markup(f"changed since the baseline: {', '.join(run.against.changed) or 'nothing'}."))


def verdict_grids(candidates: Sequence[ComparedRun]) -> list[Grid]:
    """The statistics of every candidate and task in one table; none where no candidate has any."""
    rows = [verdict_cells(run, one) for run in candidates for one in run.against.comparisons]
    if not rows:
        return []
    names = ("", "task", "verdict", "accuracy", "macro F1", "p", "test", "articles", "could be shown")
    caption = (
        "Verdicts on the articles that both answered: differences with paired 95 % intervals, two-sided p "
        f"(Holm over {len(candidates)}), difference of accuracy that would be shown with 80 % power"
    )
    return [Grid(Markup(caption), (tuple(Cell(Markup(name)) for name in names), *rows))]


def verdict_cells(run: ComparedRun, one: Comparison) -> tuple[Cell, ...]:
    """One task of one candidate."""
    return (
        Cell(run_label(run)),
        Cell(Markup(one.task)),
        Cell(Markup(one.verdict), one.verdict if one.verdict in ("better", "worse") else ""),
        Cell(interval_text(one.accuracy)),
        Cell(interval_text(one.macro_f1)),
        Cell(p_text(one.adjusted_p_value)),
        Cell(Markup(one.test)),
        Cell(Markup(f"{one.rows:,}")),
        Cell(Markup(short(one.smallest_detectable))),
    )


def figures_grid(runs: Sequence[RunBeside], names: Sequence[str], caption: str) -> Grid:
    """Figures in rows and runs in columns, or the other way round where there are many runs."""
    columns = [(Cell(""), Cell("started"), Cell("labelled set"), *(Cell(heading(name)) for name in names))]
    columns += [run_cells(run, names) for run in runs]
    about = f"{caption}: 95 % intervals in square brackets, differences from the baseline in round ones"
    return Grid(Markup(about), turned(columns))


def run_cells(run: RunBeside, names: Sequence[str]) -> tuple[Cell, ...]:
    """What a run is, and its figures; with their changes where it is no baseline."""
    about = (Cell(run_label(run)), started_cell(run), Cell(set_label(run)))
    if not isinstance(run, ComparedRun):
        return (*about, *(Cell(figure_text(name, run.figures.get(name))) for name in names))
    changes = [(name, run.against.changes.get(name)) for name in names]
    return (
        *about,
        *(
            Cell(changed_text(name, run.figures.get(name), change), (change and change.outcome) or "")
            for name, change in changes
        ),
    )


def started_cell(run: RunBeside) -> Cell:
    """When a run was started, in UTC."""
    return Cell(Markup(f"{run.started_at:%Y-%m-%d %H:%M}"))


def group_page(grouped: GroupedRuns) -> Page:
    """Counts and means of each group."""
    known = dict.fromkeys(name for group in grouped.groups for name in group.means)
    shown = [name for name in headline(len(grouped.groups)) if name in known]
    rest = [name for name in known if name not in shown]
    return Page(
        title=f"Evaluations by {grouped.by}",
        lines=tuple(line for group in grouped.groups for line in group_lines(group)),
        grids=(group_grid(grouped, shown, "Counts, and means weighted by articles; articles can differ"),),
        details=(group_grid(grouped, rest, "All other means"),) if rest else (),
    )


def group_lines(group: RunGroup) -> Iterator[Line]:
    """Why the means of a group say less than they seem to."""
    label = group.value or str(DASH)
    if group.datasets > 1:
        yield Line(label, Markup(f"the means mix {group.datasets} labelled sets."))
    if group.partial:
        yield Line(label, Markup(f"{group.partial} of {len(group.run_ids)} runs are partial and decide nothing."))


def group_grid(grouped: GroupedRuns, names: Sequence[str], caption: str) -> Grid:
    """Groups in columns, or in rows where there are many."""
    header = (Cell(grouped.by), Cell("runs"), Cell("articles"), Cell("sets"), *(Cell(heading(name)) for name in names))
    rows = [
        (
            Cell(group.value or DASH),
            Cell(Markup(len(group.run_ids))),
            Cell(Markup(f"{group.articles:,}")),
            Cell(Markup(group.datasets)),
            *(mean_cell(name, group) for name in names),
        )
        for group in grouped.groups
    ]
    return Grid(Markup(caption), turned([header, *rows]))


def mean_cell(name: str, group: RunGroup) -> Cell:
    """A mean, and of how many runs where some lack it."""
    found = group.means.get(name)
    if found is None:
        return Cell(DASH)
    of = "" if found.runs == len(group.run_ids) else f" ({found.runs} of {len(group.run_ids)} runs)"
    return Cell(Markup(value_text(name, found.mean) + of))


def trend_page(found: Trend, picture: bytes | None = None) -> Page:
    """A run in each row, oldest first, and a line of bars for each figure and labelled set."""
    names = [name for name in FEW if any(name in run.figures for run in found.runs)]
    digests = found.digests
    header = (Cell("run"), Cell("started"), Cell("labelled set"), *(Cell(heading(name)) for name in names))
    rows = [
        (
            Cell(run.run_id[:8] + (" (partial)" if run.partial else "")),
            started_cell(run),
            Cell(f"{digests.index(run.dataset.digest) + 1}: {set_label(run)}"),
            *(Cell(figure_text(name, run.figures.get(name))) for name in names),
        )
        for run in found.runs
    ]
    mixed = f"the runs were measured on {len(digests)} labelled sets; only figures on the same set are comparable."
    return Page(
        title=f"{found.agent}: last {len(found.runs)} runs",
        lines=(
            *partial_lines(found.runs),
            *([Line(found.agent, Markup(mixed))] if len(digests) > 1 else []),
            *(line for name in names for line in bar_lines(found, name)),
        ),
        grids=(Grid(Markup("Figures, oldest first"), (header, *rows)),),
        picture=base64.b64encode(picture).decode() if picture else None,
    )


def bar_lines(found: Trend, name: str) -> Iterator[Line]:
    """One figure over time, in bars, for each labelled set that has it twice."""
    for number, points in enumerate(found.series(name), 1):
        values = [figure.value for _, figure in points]
        if bars := sparkline(values):
            ends = f"{value_text(name, values[0])} to {value_text(name, values[-1])}"
            yield Line(f"{heading(name)}, labelled set {number}", Markup(f"{bars} {ends}"))
