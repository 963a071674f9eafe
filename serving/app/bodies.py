"""Bodies of requests: JSON from a stranger, until there are articles or a problem."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from itertools import islice
from typing import Any

from pydantic_core import from_json

from agent.errors import DataError
from agent.requests import ArticleBatch, TooManyArticles, read_articles, read_request
from serving.app.problems import Problem, wrong_shape

SINGLE_FIELDS = {"title", "content"}
TABLES = ("inputs", "dataframe_records", "dataframe_split")
"""MLflow's names for requests in a table."""
Body = Mapping[str, Any]


def plain_batch(body: Body, most: int) -> ArticleBatch:
    """The articles of a plain request, `most` of them at most. Raises Problem."""
    if "articles" in body:
        if not isinstance(body["articles"], list):
            raise wrong_shape("'articles' must be a list of objects.")
        with no_more_than(most):
            return ArticleBatch(read_articles(body["articles"], most), single=False)
    if not SINGLE_FIELDS & body.keys():
        raise wrong_shape("Send 'title' and 'content' of one article, or 'articles', a list of them.")
    return ArticleBatch(read_articles([body]), single=True)


def batch_of_lines(body: bytes, most: int) -> ArticleBatch:
    """The articles of a body that has one in each line, `most` of them at most. Raises Problem."""
    lines = (line for line in BytesIO(body) if line.strip())
    try:
        entries: list[object] = [from_json(line, allow_inf_nan=False) for line in islice(lines, most + 1)]
    except ValueError as err:
        raise Problem(HTTPStatus.BAD_REQUEST, "A line of the body is not JSON in UTF-8.") from err
    with no_more_than(most):
        return ArticleBatch(read_articles(entries, most), single=False)


def agent_batch(body: Body, most: int) -> ArticleBatch:
    """The articles of a request of the ResponsesAgent, `most` of them at most. Raises Problem."""
    messages, inputs = body.get("input"), body.get("custom_inputs")
    if not isinstance(messages, str | list):
        raise wrong_shape("'input' must be a list of messages, or a text.")
    if isinstance(messages, list) and not all(isinstance(message, dict) for message in messages):
        raise wrong_shape("'input' must be a list of messages, which are objects.")
    if inputs is not None and not isinstance(inputs, dict):
        raise wrong_shape("'custom_inputs' must be an object.")
    if not isinstance(body.get("stream"), bool | None):
        raise wrong_shape("'stream' must be true or false.")
    try:
        with no_more_than(most):
            return read_request(messages, inputs, most)
    except DataError as err:
        raise wrong_shape(
            "There is no article: send custom_inputs with 'title' and 'content', or with 'articles', or a user message."
        ) from err


def row_of(body: Body) -> Body | None:
    """The request in the one row of a table, as MLflow's server takes them; None where the body is the request itself.

    Raises:
        Problem: there is another number of rows, of which MLflow answers the first and forgets the rest, or no request.
    """
    tables = [name for name in TABLES if name in body]
    if "input" in body or not tables:
        return None
    rows = rows_of(body[tables[0]])
    if len(tables) > 1 or len(rows) != 1 or not isinstance(rows[0], dict):
        raise wrong_shape("A table must have one row, which is a request. Send several articles in its custom_inputs.")
    row: Body = rows[0]
    return row


def rows_of(table: object) -> list[Any]:
    """The rows of a table: a list of them, columns with their values, or the only row. Raises Problem."""
    if isinstance(table, list):
        return table
    if not isinstance(table, dict) or not {"columns", "data"} <= table.keys():
        return [table]
    try:
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    except (TypeError, ValueError) as err:
        raise wrong_shape("A table's 'data' must be a list of rows with a value for each of its 'columns'.") from err


def read_object(body: bytes) -> Body:
    """A body that is a JSON object. Raises Problem."""
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as err:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON in UTF-8.") from err
    if not isinstance(found, dict):
        raise wrong_shape("The body must be a JSON object.")
    return found


@contextmanager
def no_more_than(most: int) -> Iterator[None]:
    """Refuse more articles than a request may have. Raises Problem."""
    try:
        yield
    except TooManyArticles as err:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A request may have {most} articles. Send them in several requests.",
        ) from err
