"""A comparison on a terminal, as Markdown and as one HTML page. All text in it may come from a stranger's run."""

from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.compare.pages import Grid, Page
from eval.console import out, print_wide
from eval.report.page import render_markdown, render_page
from eval.report.text import MAX_INLINE_CHARS, cleaner, shortened

WIDEST = 10_000
STYLES = {"better": "green", "worse": "red", "": ""}


def print_page(page: Page) -> None:
    """Print it; tables in the width that they need, even where the terminal is narrower or there is none."""
    clean = cleaner()

    def shown(text: str) -> Text:
        return Text(shortened(clean(text), MAX_INLINE_CHARS))

    out.print(shown(page.title), soft_wrap=True)
    for line in page.lines:
        out.print(shown(f"{line.about}: {line.text}"), soft_wrap=True)
    for grid in page.grids:
        table = rich_table(grid, shown)
        print_wide(table, Console(width=WIDEST).measure(table).maximum)


def rich_table(grid: Grid, shown: Callable[[str], Text]) -> Table:
    """A table whose text is never markup."""
    header, *rows = grid.rows
    table = Table(title=shown(grid.caption), title_justify="left", box=SIMPLE_HEAD)
    for place, cell in enumerate(header):
        table.add_column(shown(cell.text), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        cells = [shown(cell.text) for cell in row]
        for text, cell in zip(cells, row, strict=True):
            text.stylize(STYLES[cell.tone])
        table.add_row(*cells)
    return table


def html_page(page: Page) -> str:
    """One HTML page that needs nothing else."""
    return render_page("comparison.html", title=page.title, page=page)


def markdown_page(page: Page) -> str:
    """GitHub-flavoured Markdown."""
    return render_markdown("comparison.md", page=page)
