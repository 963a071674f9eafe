"""Reads the articles out of a request to the agent, in each of the forms that the product accepts.

{"input": [], "custom_inputs": {"title": ..., "content": ...}}
{"input": [], "custom_inputs": {"articles": [{"id"?: ..., "title": ..., "content": ...}, ...]}}
{"input": [{"role": "user", "content": TEXT or '{"title": ..., "content": ...}'}]}
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from agent.errors import DataError
from agent.records import Article, InvalidArticle

ARTICLE_LIST = TypeAdapter(list[Article])
MAX_ID_CHARS = 1000
"""Longest name of an article: it is sent back, and kept beside every prediction."""
ACCEPTED = (
    "Send custom_inputs with 'title' and 'content', or with 'articles' (a list of such objects), "
    "or a user message with the text."
)


class TooManyArticles(DataError):
    """A request asks about more articles than its reader takes at once."""


class ArticleBatch(NamedTuple):
    """The articles of one request, in order."""

    articles: Sequence[Article | InvalidArticle]
    single: bool
    """Whether one article was asked about by itself, rather than a list of articles."""


def read_request(
    messages: str | Sequence[Any], custom_inputs: Mapping[str, object] | None, most: int | None = None
) -> ArticleBatch:
    """The articles that a request asks about.

    Args:
        messages: Its `input`: messages, as objects or as JSON, or the text of one.
        custom_inputs: Its `custom_inputs`, which go first.
        most: Articles that are read; any number where it is None.

    Raises:
        TooManyArticles: there are more.
        DataError: the request has none of the accepted forms.
    """
    if custom_inputs:
        return _read_fields(custom_inputs, most)
    if isinstance(messages, str):
        return _read_text(messages, most)
    for message in reversed(messages):
        if _part(message, "role") == "user":
            return _read_text(_message_text(_part(message, "content")), most)
    raise DataError(f"The request holds no article. {ACCEPTED}")


def _read_fields(fields: Mapping[str, object], most: int | None) -> ArticleBatch:
    if "articles" in fields:
        entries = fields["articles"]
        if not isinstance(entries, list):
            raise DataError(f"'articles' must be a list of objects, not {type(entries).__name__}. {ACCEPTED}")
        return ArticleBatch(read_articles(entries, most), single=False)
    if "title" in fields or "content" in fields:
        return ArticleBatch(read_articles([fields]), single=True)
    raise DataError(f"custom_inputs has the keys {sorted(fields)}. {ACCEPTED}")


def read_articles(entries: list[object], most: int | None = None) -> list[Article | InvalidArticle]:
    """One article, or the reason why there is none, for each entry.

    Raises:
        TooManyArticles: there are more than `most`. Asked first: each entry that is none costs time and memory.
    """
    if most is not None and len(entries) > most:
        raise TooManyArticles(f"The request has {len(entries):,} articles; at most {most:,} are allowed. Split it.")
    try:
        found: list[Article | InvalidArticle] = list(ARTICLE_LIST.validate_python(entries))
    except ValidationError:
        found = [_read_article(entry) for entry in entries]
    return [_sendable(entry) for entry in found]


def _sendable(entry: Article | InvalidArticle) -> Article | InvalidArticle:
    """JSON can spell half of a character, which no encoding can carry: neither to a model nor back to the caller."""
    if not is_text(entry.id):
        return InvalidArticle(None, "field 'id': holds half of a character")
    if isinstance(entry.id, str) and len(entry.id) > MAX_ID_CHARS:
        return InvalidArticle(None, f"field 'id': has more than {MAX_ID_CHARS:,} characters")
    for field in ("title", "content") if isinstance(entry, Article) else ():
        if not is_text(getattr(entry, field)):
            return InvalidArticle(entry.id, f"field {field!r}: holds half of a character")
    return entry


def is_text(name: object) -> bool:
    """Whether a name or a text can be sent on."""
    if not isinstance(name, str) or name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_article(entry: object) -> Article | InvalidArticle:
    if not isinstance(entry, dict):
        return InvalidArticle(None, f"an article is an object with title and content, not {type(entry).__name__}")
    given = entry.get("id")
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int)):
        return InvalidArticle(None, "field 'id': must be text or a whole number")
    try:
        return Article.model_validate(entry)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        return InvalidArticle(given, f"field {first['loc'][0]!r}: {first['msg']}")


def _part(whole: object, name: str) -> object:
    """A field of a message, or of a part of one."""
    return whole.get(name) if isinstance(whole, dict) else getattr(whole, name, None)


def _message_text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = (_part(part, "text") for part in (content if isinstance(content, list) else []))
    return "\n".join(text for text in texts if isinstance(text, str))


def _read_text(text: str, most: int | None) -> ArticleBatch:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or none that anybody means
        fields = None
    if isinstance(fields, dict) and fields.keys() & {"title", "content", "articles"}:
        return _read_fields(fields, most)
    return ArticleBatch([Article(content=text)], single=True)
