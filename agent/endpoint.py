"""Where questions to a service go, and what signs them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from agent.background import in_thread
from agent.errors import ConfigError
from agent.transport import SHORTEST_WAIT_S, Unanswered


class Endpoint(NamedTuple):
    """Where questions go, and what signs them."""

    base_url: str
    path: str
    """Of questions, from the base address."""
    headers: Callable[[], Mapping[str, str]]
    """Headers for a request made now. Raises Unanswered when no token could be got."""
    may_wait: bool = False
    """Whether getting them may ask a service."""


async def signed_by(endpoint: Endpoint, deadline: float) -> Mapping[str, str]:
    """Headers for a request made now. Raises Unanswered when they cannot be got, or not until the deadline."""
    if not endpoint.may_wait:
        return endpoint.headers()
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), SHORTEST_WAIT_S)):
            return await in_thread(endpoint.headers)
    except TimeoutError as err:
        raise Unanswered("no token in time", timed_out=True, sent=False) from err


def check_address(url: str) -> None:
    """Raise ConfigError unless requests can be sent to this address."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{url!r} is no address of a service. Correct the base_url, or the variable that it is from.")
