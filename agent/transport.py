"""HTTP to a provider: one pool of connections, nothing followed, nothing retried.

The official SDKs cost several times the processor time of this (docs/decisions/004-direct-http.md); they are the
reference that the contract tests hold these requests and answers against.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import BaseModel, ConfigDict, Field

from agent.background import at_exit

if TYPE_CHECKING:
    import aiohttp  # is imported when it is used, because who only configures candidates can do without

ADDRESS = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"
"""Of a service, without user, query and fragment, in which keys can hide."""
KEPT_OPEN_S = 30.0
MAX_RESPONSE_BYTES = 4 * 1024 * 1024
SHORTEST_WAIT_S = 0.001
"""Stands for the time that is left when none is."""


class Timeouts(BaseModel):
    """How long is waited for a provider, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_s: float = Field(default=10.0, gt=0)
    """For a connection."""
    read_s: float = Field(default=60.0, gt=0)
    """For one answer, from the request to its last byte."""
    total_s: float = Field(default=100.0, gt=0)
    """For one article, with every retry and the waits between them. Serving platforms give up after 120 s."""


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class Unanswered(Exception):
    """No complete answer came back.

    Args:
        message: Why.
        timed_out: Whether it was waited for long enough.
        sent: Whether the request may have reached the model, and so be billed.
    """

    def __init__(self, message: str, *, timed_out: bool, sent: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.sent = sent


class Transport:
    """A pool of connections for each event loop, opened at its first request and closed when the process ends."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        """By loop: a forked process has its own, and must leave its parent's alone, also when that would be freed."""
        self._proxies: dict[str, str | None] = {}

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> Response:
        """Send one request.

        Args:
            method: GET or POST.
            url: Where to.
            headers: All headers but those of HTTP itself.
            body: What is sent.
            wait_s: How long to wait for the answer at most, in seconds; never longer than `read_s`.

        Raises:
            Unanswered: no connection, no answer in time, or one that is too long.
        """
        import aiohttp

        limit = aiohttp.ClientTimeout(total=min(wait_s, self._timeouts.read_s), sock_connect=self._timeouts.connect_s)
        try:
            async with self.open().request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=limit,
                allow_redirects=False,
                proxy=self._proxy(url),
            ) as response:
                content = await self._read(response)
                return Response(response.status, response.headers, content)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as err:
            timed_out = isinstance(err, aiohttp.ConnectionTimeoutError)
            raise Unanswered(f"no connection ({describe(err)})", timed_out=timed_out, sent=False) from err
        except TimeoutError as err:
            raise Unanswered(f"no answer within {limit.total:g} s", timed_out=True, sent=True) from err
        except aiohttp.ClientError as err:
            raise Unanswered(f"the connection broke ({describe(err)})", timed_out=False, sent=True) from err

    async def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        if session := self._sessions.get(asyncio.get_running_loop()):
            await session.close()

    def open(self) -> aiohttp.ClientSession:
        """The pool, for the loop that this is called in; made when it is first needed."""
        import aiohttp

        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            at_exit(self.close)
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN_S)
            self._sessions[loop] = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._sessions[loop]

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for part in response.content.iter_any():
            content += part
            if len(content) > MAX_RESPONSE_BYTES:
                raise Unanswered(f"the answer is longer than {MAX_RESPONSE_BYTES:,} bytes", timed_out=False, sent=True)
        return bytes(content)

    def _proxy(self, url: str) -> str | None:
        """The proxy of the environment for an address, looked up once for each host."""
        parts = urlsplit(url)
        if parts.netloc not in self._proxies:
            proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
            self._proxies[parts.netloc] = f"http://{proxy}" if proxy and "://" not in proxy else proxy
        return self._proxies[parts.netloc]


def describe(err: BaseException) -> str:
    """An error in a few words, which aiohttp's own text is not always."""
    cause = getattr(err, "os_error", None)
    return str(getattr(cause, "strerror", None) or err or type(err).__name__)
