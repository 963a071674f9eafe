"""Text that strangers wrote (articles, models, services, runs), as it may stand in a report.

Cleaning comes first, then secrets are taken out, then text is shortened: in another order an invisible character or a
cut would hide half a secret.
"""

import re
import textwrap
from collections.abc import Callable

from markupsafe import Markup

from agent.prompt import visible
from agent.redaction import secret_values, without

MAX_INLINE_CHARS = 300
MAX_BLOCK_CHARS = 20_000
LINE_CHARS = 96
BACKTICKS = re.compile("`+")
PUNCTUATION = re.compile(r"[!-+./:-@\[-`{-~]")
"""Every ASCII sign that can mean something to Markdown inside a line; comma and hyphen cannot."""
ADDRESS_SIGNS = re.compile(r"(&#(?:46|58|64);)(?=\S)")
"""A full stop, colon or @ that more text follows, as entities."""
WORD_JOINER = "&#8288;"


def cleaner() -> Callable[[str], str]:
    """A function that takes invisible characters and secrets out of text; it asks the environment once."""
    secrets = secret_values()
    return lambda text: without(secrets, visible(text))


def shortened(text: str, most: int) -> str:
    """One line of at most `most` characters, cut between words where it can be."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    cut = line[: most - 1]
    head, _, _ = cut.rpartition(" ")
    return f"{head if len(head) > most // 2 else cut}…"


def markdown_text(text: str) -> Markup:
    """Text inside a line or a table cell of Markdown, every sign that Markdown knows as an entity.

    The word joiners keep renderers from making links of addresses, for which they look after reading entities.
    """
    line = PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", shortened(text, MAX_INLINE_CHARS))
    return Markup(ADDRESS_SIGNS.sub(rf"\1{WORD_JOINER}", line))


def markdown_code(text: str) -> Markup:
    """Text as code inside a line of Markdown.

    Not for table cells: renderers differ about a pipe after a backslash.
    """
    line = shortened(text, MAX_INLINE_CHARS)
    fence = "`" * (longest_run(line) + 1)
    return Markup(f"{fence} {line} {fence}" if line.startswith("`") or line.endswith("`") else f"{fence}{line}{fence}")


def markdown_block(text: str) -> Markup:
    """Text as a code block of its own, which no renderer searches for links; long lines are wrapped."""
    fence = "`" * max(3, longest_run(text) + 1)
    lines = text[:MAX_BLOCK_CHARS].split("\n")
    wrapped = (textwrap.wrap(line, LINE_CHARS, replace_whitespace=False) or [""] for line in lines)
    return Markup("\n".join([f"{fence}text", *(part for parts in wrapped for part in parts), fence]))


def longest_run(text: str) -> int:
    """Length of the longest run of backticks."""
    return max((len(run) for run in BACKTICKS.findall(text)), default=0)
