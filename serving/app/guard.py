"""What every request passes: who asks, how much, for how long; and what every answer carries."""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.app.control import CONTROL_PATH
from serving.app.keys import NOBODY, Keys
from serving.app.metrics import Metrics
from serving.app.problems import CALLER_LEFT, CallerLeft, Problem, busy
from serving.app.settings import Limits

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
OPEN_PATHS = frozenset({"/ping", "/health", "/ready", CONTROL_PATH})
"""Probes bring no key, and who controls the server brings another."""
MB = 1_000_000
LONGEST_LENGTH = 20
"""Digits of the longest length that HTTP parsers take."""
BUSY = "The server has as many requests as it can answer at once. Come back in a moment."
log = logging.getLogger(__name__)


class Guard:
    """Stands before the routes.

    Args:
        app: The routes.
        limits: What a request may ask for.
        keys: Who may ask.
        hosts: Names that the server may be asked under; any where empty. Keeps pages of other sites, which a browser on
            this machine shows, from asking.
        metrics: Where it is counted.
        paths: Those of the routes, which are counted by themselves; others are counted together.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        keys: Keys,
        hosts: Iterable[str],
        metrics: Metrics,
        paths: Sequence[str],
    ) -> None:
        self._app = app
        self._limits = limits
        self._keys = keys
        self._hosts = frozenset(hosts)
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._templates = {path: compile_path(path)[0] for path in paths if "{" in path}
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = header(headers, b"x-request-id")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            async with asyncio.timeout(self._limits.request_timeout_s):
                await self._pass(scope, headers, request_id, receive, reply)
        except CallerLeft:
            status = CALLER_LEFT
        except (Exception, asyncio.CancelledError) as err:
            if status:  # the answer has begun; it ends without its end, and with the connection
                log.warning("Request %s ended early: %s", request_id, type(err).__name__)
                return
            await problem_of(err, request_id).response(request_id)(scope, receive, reply)
        finally:
            self._metrics.request(self._route(scope["path"]), status, time.perf_counter() - started)

    def _route(self, path: str) -> str:
        """The path as the routes have it, `/endpoints/{name}/invocations`, so that callers cannot make up labels."""
        if path in self._paths:
            return path
        return next((template for template, regex in self._templates.items() if regex.match(path)), "other")

    async def _pass(
        self, scope: Scope, headers: dict[bytes, bytes], request_id: str, receive: Receive, reply: Send
    ) -> None:
        self._check_host(headers)
        caller = NOBODY
        if scope["path"] not in OPEN_PATHS:
            caller = self._keys.admit(header(headers, b"authorization"), header(headers, b"x-api-key"))
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "caller": caller}
        scope["app"] = self._app  # without it Starlette refuses methods by itself, in plain text
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, reply)
            return
        async with self._body(headers, receive) as body:
            with self._place():
                await self._app(scope, replayed(body, receive), reply)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Keep out who asks under another name. Raises Problem."""
        if not self._hosts:
            return
        if hostname(f"//{header(headers, b'host')}") not in self._hosts:
            raise Problem(HTTPStatus.FORBIDDEN, "This server answers under the names of loopback alone (header Host).")
        if b"origin" in headers and hostname(header(headers, b"origin")) not in self._hosts:
            raise Problem(HTTPStatus.FORBIDDEN, "Pages of other sites may not ask this server (header Origin).")

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the requests that are answered at once. Raises Problem where there is none."""
        if self._requests >= self._limits.requests_in_flight:
            raise busy(BUSY)
        self._requests += 1
        self._metrics.in_flight.set(self._requests)
        try:
            yield
        finally:
            self._requests -= 1
            self._metrics.in_flight.set(self._requests)

    @asynccontextmanager
    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> AsyncIterator[bytes]:
        """The whole body. Raises Problem where it is too long or too slow, or where there are too many at once.

        Counted is what has arrived: who announces much and sends little keeps nobody out.
        """
        body = bytearray()
        try:
            await self._read(headers, receive, body)
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, body: bytearray) -> None:
        """Append what arrives. Raises Problem."""
        announced = length_of(headers)
        self._check_room(announced, announced)
        more = b"content-length" in headers or b"transfer-encoding" in headers
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise CallerLeft
                    part = message.get("body", b"")
                    body += part
                    self._bytes += len(part)
                    self._check_room(len(body))
                    more = message.get("more_body", False)
        except TimeoutError as err:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The body did not arrive within {self._limits.body_timeout_s:g} s.",
                Connection="close",
            ) from err

    def _check_room(self, length: int, coming: int = 0) -> None:
        """Raises Problem where a body of this length is too long, or with what is still coming one too many."""
        if length > self._limits.body_mb * MB:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A body may have {self._limits.body_mb:g} MB. Send fewer articles at a time.",
            )
        if self._bytes + coming > self._limits.mb_in_flight * MB:
            raise busy(BUSY)


def length_of(headers: dict[bytes, bytes]) -> int:
    """How long a body says that it is; 0 where it does not, or not in a number that a length can be."""
    announced = headers.get(b"content-length", b"")
    return int(announced) if announced.isdigit() and len(announced) <= LONGEST_LENGTH else 0


def header(headers: dict[bytes, bytes], name: bytes) -> str:
    """The value of a header; empty where it is not there."""
    return headers.get(name, b"").decode("latin-1")


def hostname(address: str) -> str | None:
    """The host of an address, without its port; None where it has none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def replayed(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then what comes after it."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def problem_of(err: BaseException, request_id: str) -> Problem:
    """What a caller is told of an error."""
    if isinstance(err, Problem):
        return err
    if isinstance(err, asyncio.CancelledError):  # by uvicorn, in the end
        return busy("The server ends, and there was no time left to answer. Ask again in a moment.")
    if isinstance(err, HTTPException):
        status = HTTPStatus(err.status_code)
        return Problem(status, f"{status.phrase}. The routes are listed at /openapi.json.", **dict(err.headers or {}))
    if isinstance(err, TimeoutError):
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, "There was no answer in time. Ask about fewer articles at a time.")
    place = traceback.extract_tb(err.__traceback__)[-1]
    log.error("Request %s failed: %s in %s, line %s", request_id, type(err).__name__, place.name, place.lineno)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server made a mistake. Its log has the request id.")
