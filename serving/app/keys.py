"""Who may ask: keys that only their hashes are known of, each with a limit of its own."""

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Sequence
from http import HTTPStatus

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from serving.app.problems import Problem
from serving.app.settings import ApiKey

PREFIX = "nck-"
KEY_BYTES = 32
BEARER = "bearer "
NOBODY = ""
"""Asks where no keys are needed."""


class Keys:
    """The keys of a server.

    Args:
        keys: Who may ask; nobody is asked for a key where there are none.
    """

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(key, bytes.fromhex(key.sha256), RateLimitItemPerMinute(key.requests_per_minute)) for key in keys]
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit(self, authorization: str, api_key: str) -> str:
        """The name of who asks.

        Args:
            authorization: The header of that name; empty where it is not there.
            api_key: The header `X-API-Key`, likewise.

        Raises:
            Problem: there is no key, it is not one of ours (401), or it was used too often (429).
        """
        if not self._keys:
            return NOBODY
        given = authorization[len(BEARER) :].strip() if authorization.lower().startswith(BEARER) else api_key
        digest = hashlib.sha256(given.encode()).digest()
        found = [entry for entry in self._keys if hmac.compare_digest(entry[1], digest)]  # all: time must tell nothing
        if not found:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "A key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
                WWW_Authenticate="Bearer",
            )
        key, _, limit = found[0]
        if not self._limiter.hit(limit, key.name):
            wait_s = max(self._limiter.get_window_stats(limit, key.name).reset_time - time.time(), 1)
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"This key may make {key.requests_per_minute} requests a minute. Wait, or ask for more.",
                Retry_After=str(math.ceil(wait_s)),
            )
        return key.name


def make_key() -> tuple[str, str]:
    """A new key, and its sha256."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, hashlib.sha256(key.encode()).hexdigest()
