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
ACCEPTED = (
    "Send custom_inputs with 'title' and 'content', or with 'articles' (a list of such objects), "
    "or a user message with the text."
)


class ArticleBatch(NamedTuple):
    """The articles of one request, in order."""

    articles: Sequence[Article | InvalidArticle]
    single: bool
    """Whether one article was asked about by itself, rather than a list of articles."""


def read_request(messages: str | Sequence[Any], custom_inputs: Mapping[str, object] | None) -> ArticleBatch:
    """The articles that a request asks about.

    Args:
        messages: Its `input`: messages, as objects or as JSON, or the text of one.
        custom_inputs: Its `custom_inputs`, which go first.

    Raises:
        DataError: the request has none of the accepted forms.
    """
    if custom_inputs:
        return _read_fields(custom_inputs)
    if isinstance(messages, str):
        return _read_text(messages)
    for message in reversed(messages):
        if _part(message, "role") == "user":
            return _read_text(_message_text(_part(message, "content")))
    raise DataError(f"The request holds no article. {ACCEPTED}")


def _read_fields(fields: Mapping[str, object]) -> ArticleBatch:
    if "articles" in fields:
        entries = fields["articles"]
        if not isinstance(entries, list):
            raise DataError(f"'articles' must be a list of objects, not {type(entries).__name__}. {ACCEPTED}")
        return ArticleBatch(read_articles(entries), single=False)
    if "title" in fields or "content" in fields:
        return ArticleBatch(read_articles([fields]), single=True)
    raise DataError(f"custom_inputs has the keys {sorted(fields)}. {ACCEPTED}")


def read_articles(entries: list[object]) -> list[Article | InvalidArticle]:
    """One article, or the reason why there is none, for each entry."""
    try:
        found: list[Article | InvalidArticle] = list(ARTICLE_LIST.validate_python(entries))
    except ValidationError:
        found = [_read_article(entry) for entry in entries]
    return [
        entry if is_text(entry.id) else InvalidArticle(None, "field 'id': holds half of a character") for entry in found
    ]


def is_text(name: object) -> bool:
    """Whether a name can be sent back: JSON can spell half of a character, which no encoding can carry."""
    return not isinstance(name, str) or name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


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


def _read_text(text: str) -> ArticleBatch:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or none that anybody means
        fields = None
    if isinstance(fields, dict) and fields.keys() & {"title", "content", "articles"}:
        return _read_fields(fields)
    return ArticleBatch([Article(content=text)], single=True)
