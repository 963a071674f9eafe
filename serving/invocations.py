"""Asks one server about articles, again where that can help: what both clients and the smoke test have in common.

Light: no MLflow, no pandas. Nothing that a server says about an error is passed on but its status and its code, because
some quote the articles that they were sent.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from agent.endpoint import Endpoint, signed_by
from agent.errors import DataError, ServiceError
from agent.failures import CallFailed, FailurePolicy, RetrySettings, failure
from agent.records import Article, Classification, Outcome
from agent.transport import SHORTEST_WAIT_S, Response, Timeouts, Transport, Unanswered

ArticleLike = Article | Mapping[str, object]
RECORDS = TypeAdapter(tuple[Classification, ...])
FIELDS = ("id", "title", "content")
MAX_BODY_BYTES = 1024 * 1024
"""Of the articles of one request."""
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
ERROR_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")
REQUEST_ID = re.compile(r"[\w.:-]{1,128}")
FEWER = "Send fewer or shorter articles at a time (batch_size)."
ADVICE: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Check the key: api_key or NEWS_CLASSIFIER_API_KEY; for Databricks DATABRICKS_TOKEN.",
    HTTPStatus.FORBIDDEN: "Check the key and what it may be used for.",
    HTTPStatus.NOT_FOUND: "Check the address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Check the address.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: FEWER,
    HTTPStatus.TOO_MANY_REQUESTS: "Send fewer requests at once (in_flight), or ask later.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Ask later, or send fewer requests at once (in_flight).",
    HTTPStatus.GATEWAY_TIMEOUT: FEWER,
}
OUTCOME_ADVICE: Mapping[Outcome, str] = {
    "timeout": f"Wait longer (timeouts). {FEWER}",
    "connection_error": "Check that the server runs, the address, the network and the proxy.",
    "server_error": "Look into the server's log.",
}
OTHER_ADVICE = "Check that the address is that of a news classifier, as old or new as this client."


class Answer(NamedTuple):
    """One answer of a server."""

    records: tuple[Classification, ...]
    """One for each article, in order."""
    version: str | None
    """Of the registered model that answered, where the server says so; with commas between several."""
    latency_ms: float
    """Of the request that was answered."""


class Invocations:
    """One server.

    Args:
        target: Where it is and what signs requests to it.
        timeouts: How long is waited; `total_s` is for one request with all its retries.
        retries: How failures are waited out.
    """

    def __init__(self, target: Endpoint, timeouts: Timeouts, retries: RetrySettings) -> None:
        self.url = f"{target.base_url}{target.path}"
        self._target = target
        self._total_s = timeouts.total_s
        self._transport = Transport(timeouts)
        self._policy = FailurePolicy(retries)

    async def ask(self, articles: Sequence[bytes]) -> Answer:
        """Ask about articles, which `encode` made, with one request.

        Raises:
            ServiceError: there is no answer.
        """
        body = b'{"input": [], "custom_inputs": {"articles": [' + b", ".join(articles) + b"]}}"
        deadline = time.monotonic() + self._total_s
        refusals: list[CallFailed] = []
        self._transport.open()  # the time that this takes is not the first request's

        async def attempt() -> Answer:
            started = time.perf_counter()
            response = await self._send(body, deadline)
            latency_ms = (time.perf_counter() - started) * 1000
            try:
                records = read(response, len(articles))
            except CallFailed as failed:
                refusals.append(failed)
                raise
            return Answer(records, response.headers.get("X-Model-Version"), latency_ms)

        try:
            return await self._policy.call(attempt, deadline=deadline, patient=False)
        except CallFailed as last:
            failed = refusals[-1] if refusals else last  # what the server said says more than that time was over
            advice = ADVICE.get(failed.status or 0) or OUTCOME_ADVICE.get(failed.outcome, OTHER_ADVICE)
            raise ServiceError(f"{self.url} gave no answer: {failed}. {advice}", failed.status) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _send(self, body: bytes, deadline: float) -> Response:
        try:
            signed = await signed_by(self._target, deadline)
            wait_s = max(deadline - time.monotonic(), SHORTEST_WAIT_S)
            return await self._transport.request("POST", self.url, {**signed, **JSON_HEADERS}, body, wait_s)
        except Unanswered as err:
            raise CallFailed("timeout" if err.timed_out else "connection_error", str(err)) from err


def read(response: Response, articles: int) -> tuple[Classification, ...]:
    """The records of a response. Raises CallFailed: it is an error, or no answer to so many articles."""
    if response.status != HTTPStatus.OK:
        raise refusal(response)
    try:
        records = RECORDS.validate_python(json.loads(response.body)["custom_outputs"]["classifications"])
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CallFailed("rejected", f"the record has at {place!r}: {first['msg']}", status=response.status) from None
    except (ValueError, RecursionError, KeyError, TypeError):
        raise CallFailed("rejected", "the answer holds no classifications", status=response.status) from None
    if len(records) != articles:
        message = f"{articles} articles got {len(records)} records"
        raise CallFailed("rejected", message, status=response.status)
    return records


def refusal(response: Response) -> CallFailed:
    """What an error response means: its status, code and request id. A server that says when to come back is there."""
    failed = failure(response._replace(body=b""), lambda status: "")
    is_busy = failed.outcome == "server_error" and failed.retry_after_s is not None
    code, request = error_code(response.body), response.headers.get("X-Request-Id", "")
    message = f"status {response.status}"
    if ERROR_CODE.fullmatch(code):
        message += f", {code}"
    if REQUEST_ID.fullmatch(request):
        message += f", request {request}"
    outcome = "rate_limited" if is_busy else failed.outcome
    return CallFailed(outcome, message, failed.retry_after_s, status=response.status)


def error_code(body: bytes) -> str:
    """What MLflow, Databricks and the app call the error; empty where they do not say."""
    try:
        payload: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(payload.get("error_code", "")) if isinstance(payload, dict) else ""


def encode(article: ArticleLike) -> bytes:
    """An article as JSON: title, content and id, and nothing else that a mapping holds.

    Raises:
        DataError: one of them is nothing that JSON knows.
    """
    given = article.model_dump() if isinstance(article, Article) else article
    fields = {name: given[name] for name in FIELDS if name in given}
    try:
        return json.dumps(fields, allow_nan=False).encode()
    except (TypeError, ValueError) as err:
        kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in fields.items())
        raise DataError(
            f"An article cannot be sent ({kinds}). Title and content are text, the id text or a number."
        ) from err


def batches(articles: Iterable[ArticleLike], most: int, most_bytes: int = MAX_BODY_BYTES) -> Iterator[list[bytes]]:
    """Encoded articles in batches, each fit for one request; a longer article goes by itself."""
    batch: list[bytes] = []
    size = 0
    for article in articles:
        encoded = encode(article)
        if batch and (len(batch) == most or size + len(encoded) > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded)
    if batch:
        yield batch
