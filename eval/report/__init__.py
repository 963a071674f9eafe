"""The report of an evaluation for people: one HTML file that needs nothing else, and the same facts as Markdown."""

from pathlib import Path

from eval.report.contents import Report, contents
from eval.report.page import render_markdown, render_page

__all__ = ["HTML_FILE", "MARKDOWN_FILE", "Report", "write_report"]

HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"


def write_report(folder: Path, report: Report) -> list[Path]:
    """Write `report.html` and `report.md` into a folder, without secrets, all text of strangers inert.

    Args:
        folder: A folder that exists.
        report: What is reported; n >= 1 predictions.

    Returns:
        The paths of both files.
    """
    title = f"{report.record.agent} on {Path(report.record.dataset.path).name}"
    facts = contents(report)
    html, markdown = folder / HTML_FILE, folder / MARKDOWN_FILE
    html.write_text(render_page("evaluation.html", title=title, report=facts), encoding="utf-8")
    markdown.write_text(render_markdown("evaluation.md", title=title, report=facts), encoding="utf-8")
    return [html, markdown]
