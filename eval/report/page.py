"""Pages without scripts, fonts or requests, and Markdown; both from templates where nothing is markup by default.

What a template writes with `{{ }}` is text of a stranger unless one of our own filters made it: invisible characters
and secrets are taken out of it, then it is escaped for HTML or for Markdown.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.report.formats import FORMATS
from eval.report.text import cleaner, markdown_block, markdown_code, markdown_text, shortened

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, *, title: str, **content: object) -> str:
    """One self-contained HTML page.

    Args:
        template: Name of a file in `templates` that extends `page.html`; `figures.html` has the macros.
        title: Title of the page.
        content: What the template reads.
    """
    clean = cleaner()

    def shown(value: object) -> object:
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = _environment(shown)
    environment.filters["shortened"] = lambda text, most: shortened(clean(text), most)
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return environment.get_template(template).render(content, title=title, policy=policy, style=Markup(style))


def render_markdown(template: str, **content: object) -> str:
    """GitHub-flavoured Markdown from a file in `templates`."""
    clean = cleaner()

    def shown(value: object) -> Markup:
        return value if isinstance(value, Markup) else markdown_text(clean(str(value)))

    environment = _environment(shown)
    environment.filters["shortened"] = lambda text, most: shortened(clean(text), most)
    environment.filters |= {
        "code": lambda text: markdown_code(clean(str(text))),
        "block": lambda text: markdown_block(clean(text)),
    }
    return environment.get_template(template).render(content).strip() + "\n"


def _environment(finalize: Callable[[object], object]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: partial(_marked, function) for name, function in FORMATS.items()}
    return environment


def _marked(function: Callable[..., str], *values: object) -> Markup:
    return Markup(function(*values))
