"""A comparison on a terminal, as Markdown and as one HTML page. All text in it may come from a stranger's run."""

import base64
import hashlib
import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agent.redaction import redact
from eval.compare_pages import Grid, Page
from eval.console import out, print_wide

STYLES = {"better": "green", "worse": "red", "": ""}
COLUMN_CHARS = 34
MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]<>|&~$@#:]|(?<=www)\.")
"""What could become markup or a link inside a line."""


def print_page(page: Page) -> None:
    """Print it on the terminal."""
    out.print(shown(page.title), soft_wrap=True)
    for line in page.lines:
        out.print(shown(line), soft_wrap=True)
    for grid in page.grids:
        print_wide(rich_table(grid), COLUMN_CHARS * len(grid.rows[0]))


def rich_table(grid: Grid) -> Table:
    """A table whose text is never markup."""
    header, *rows = grid.rows
    table = Table(title=Text(shown(grid.caption)), title_justify="left", box=SIMPLE_HEAD)
    for place, cell in enumerate(header):
        table.add_column(Text(shown(cell.text)), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(shown(cell.text), style=STYLES[cell.tone]) for cell in row))
    return table


def markdown_page(page: Page) -> str:
    """GitHub-flavoured Markdown."""
    parts = [f"# {markdown(page.title)}", "\n".join(f"- {markdown(line)}" for line in page.lines)]
    for grid in (*page.grids, *page.details):
        header, *rows = ([markdown(cell.text) for cell in row] for row in grid.rows)
        ruler = ["---", *["---:"] * (len(header) - 1)]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows))
        parts += [f"## {markdown(grid.caption)}", table]
    return "\n\n".join(parts) + "\n"


def html_page(page: Page) -> str:
    """One page that needs nothing else: no script, no font, no request."""
    environment = Environment(
        loader=PackageLoader("eval"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.loader.get_source(environment, "comparison.css")[0] if environment.loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    picture = base64.b64encode(page.picture).decode() if page.picture else None
    return environment.get_template("comparison.html").render(
        page=page, picture=picture, policy=policy, style=Markup(style)
    )


def shown(text: str) -> str:
    """Text on one line without secrets, and without characters that a terminal obeys or nobody sees."""
    return redact("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text))


def markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    return MARKDOWN_SIGNS.sub(
        lambda found: f"&#{ord(found[0])};" if found[0] in "<>&@|:" else f"\\{found[0]}", shown(text)
    )
