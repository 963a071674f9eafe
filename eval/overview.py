"""All candidates on one page: the decision, every figure side by side, what failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from eval.compare.compare import compare_runs
from eval.compare.comparison_page import comparison_page
from eval.compare.pages import Cell, Grid, Line, Page
from eval.compare.render import html_page, markdown_page
from eval.decision.decide import Decision
from eval.decision.view import decision_lines, decision_rows
from eval.evaluation import LoggedEvaluation
from eval.report import HTML_FILE, MARKDOWN_FILE

DECISION_JSON = "decision.json"
DECISION_COLUMNS = ("candidate", "articles go to", "accuracy", "p50 ms", "p95 ms", "$ per 1,000", "$ per day")


def overview_page(records: Sequence[LoggedEvaluation], decision: Decision, problems: Mapping[str, str]) -> Page:
    """The decision first, then every candidate beside the baseline that costs nothing, or the most accurate.

    Args:
        records: One whole evaluation of each candidate, n >= 1.
        decision: What they come to.
        problems: Candidates that could not be evaluated, and why.
    """
    lines = tuple(Line("Decision", line.strip()) for line in decision_lines(decision))
    failed = tuple(Line(name, f"was not evaluated: {problem}") for name, problem in problems.items())
    title = f"{len(records)} candidates on {Path(records[0].dataset.path).name}"
    chosen = Grid(
        Markup("What the rules look at; the chosen one has a star"),
        (
            tuple(Cell(Markup(name)) for name in DECISION_COLUMNS),
            *(tuple(Cell(text) for text in row) for row in decision_rows(decision)),
        ),
    )
    if len(records) == 1:
        return Page(title, (*lines, *failed), (chosen,), warns=bool(failed))
    compared = comparison_page(compare_runs([record.run_id for record in baseline_first(records)]))
    return compared._replace(
        title=title,
        lines=(*lines, *failed, *compared.lines),
        grids=(chosen, *compared.grids),
        warns=compared.warns or bool(failed),
    )


def baseline_first(records: Sequence[LoggedEvaluation]) -> list[LoggedEvaluation]:
    """A local model, which every other must beat, before all others; the most accurate where there is none."""
    return sorted(
        records,
        key=lambda record: (record.candidate.track != "local", -record.metrics.get("category_accuracy", 0.0)),
    )


def write_overview(folder: Path, page: Page, decision: Decision) -> list[Path]:
    """Write page and decision into a folder, made if it is not there; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        HTML_FILE: html_page(page),
        MARKDOWN_FILE: markdown_page(page),
        DECISION_JSON: decision.model_dump_json(indent=2),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in contents]
