"""What is done when a provider fails: which failures are tried again, when, how long, and when nobody is asked.

One policy for every provider. Rate limits (429) and overload pass by themselves, so they are waited for; a service
that is down is waited for a little and then left alone, so that it costs a caller milliseconds; a wrong key or request
stays wrong.
"""

import asyncio
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from agent.records import Outcome
from agent.redaction import redact
from agent.transport import Response

Result = TypeVar("Result")
RETRIED: frozenset[Outcome] = frozenset({"rate_limited", "server_error", "timeout", "connection_error"})
DOWN: frozenset[Outcome] = frozenset({"server_error", "timeout", "connection_error"})
"""Failures of a service that may be down; a rate limit is a sign of life."""
HOPELESS_PROBES = 2
PROBE_WAIT_S = 1.0
"""How long others wait while one caller finds out whether the provider is back, in seconds."""
RATE_LIMITS = (HTTPStatus.TOO_MANY_REQUESTS, 529)
"""529 is Anthropic's word for an overload."""
SAME_FOR_ALL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""Status codes that say nothing about the article."""
GAVE_UP = (HTTPStatus.GATEWAY_TIMEOUT,)
"""Status codes after which the model may have answered all the same."""
QUOTA_USED_UP = "insufficient_quota"
"""OpenAI's code for an account without credit, which comes with the status of a rate limit and does not pass."""
SHOWN_CHARS = 300
SPREAD = 0.1
"""Waits that a provider asked for are lengthened by up to this share, so that not all come back at once."""


class CallFailed(Exception):
    """One call to a provider failed.

    Args:
        outcome: How.
        message: What a person reads.
        retry_after_s: How long the provider asked to be left alone, in seconds.
        same_for_all: Whether the same will become of every article.
        status: The HTTP status, where there was one.
    """

    def __init__(
        self,
        outcome: Outcome,
        message: str,
        retry_after_s: float | None = None,
        *,
        same_for_all: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome
        self.retry_after_s = retry_after_s
        self.same_for_all = same_for_all


class RetrySettings(BaseModel):
    """How failures are waited out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_wait_s: float = Field(default=0.5, gt=0)
    """Longest wait before the second try; the bound doubles with each further try."""
    longest_wait_s: float = Field(default=20.0, gt=0)
    """Where the doubling ends."""
    longest_retry_after_s: float = Field(default=65.0, ge=0)
    """A provider's Retry-After is obeyed up to this; it outlasts a limit by the minute."""
    open_after: int = Field(default=5, ge=1)
    """Failures in a row, over all callers, after which the provider is left alone."""
    pause_s: float = Field(default=10.0, gt=0)
    """How long it is left alone before one caller may try again."""
    outage_s: float = Field(default=120.0, ge=0)
    """How long a long run waits for a provider that answered before and is down now; then the run ends."""


class CircuitBreaker:
    """Lets nobody ask a provider that is down, but for one caller after each pause.

    Args:
        settings: After how many failures, and for how long.
        clock: Seconds that only go forward.
    """

    def __init__(self, settings: RetrySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self._failed_probes = 0
        self._last_answer = -math.inf
        self._last_failure = ""

    @property
    def is_open(self) -> bool:
        """Whether the provider is left alone."""
        return self._open_until is not None

    @property
    def is_hopeless(self) -> bool:
        """Whether waiting is over: it never answered and was asked again more than once, or is down for long."""
        if math.isinf(self._last_answer):
            return self._failed_probes >= HOPELESS_PROBES
        return self.is_open and self._clock() - self._last_answer > self._settings.outage_s

    def check(self) -> None:
        """Pass, or raise CallFailed while the provider is left alone."""
        if self._open_until is None:
            return
        wait_s = self._open_until - self._clock()
        if wait_s > 0:
            message = f"the provider is down ({self._last_failure}) and is not asked again for {wait_s:.0f} s"
            patience_s = PROBE_WAIT_S if self._probing else wait_s
            raise CallFailed("connection_error", message, patience_s, same_for_all=self.is_hopeless)
        self._probing = True  # this caller asks, the others wait for what it finds
        self._open_until = self._clock() + self._settings.pause_s

    def record(self, outcome: Outcome, message: str = "") -> None:
        """Take note of what became of a call that was made, and why it failed."""
        if outcome not in DOWN:
            self._failures = self._failed_probes = 0
            self._probing, self._open_until = False, None
            self._last_answer = self._clock()
            return
        self._failures += 1
        self._failed_probes += self._probing
        self._last_failure = message
        if self._probing or self._failures >= self._settings.open_after:
            self._open()

    def give_up(self, since: float) -> None:
        """A caller waited in vain since that time: leave the provider alone unless it answered others meanwhile."""
        if self._last_answer < since:
            self._open()

    def _open(self) -> None:
        self._probing = False
        self._open_until = self._clock() + self._settings.pause_s


class FailurePolicy:
    """Makes calls to one provider, again where that can help, and keeps its circuit breaker.

    Args:
        settings: How failures are waited out.
    """

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self._backoff = wait_random_exponential(multiplier=settings.first_wait_s, max=settings.longest_wait_s)
        self.breaker = CircuitBreaker(settings)

    async def call(self, attempt: Callable[[], Awaitable[Result]], *, deadline: float, patient: bool) -> Result:
        """Make a call until it is answered, cannot be, or its time is over.

        Args:
            attempt: Makes the call once; raises CallFailed.
            deadline: When all tries and the waits between them are over, on the monotonic clock, in seconds.
            patient: Whether to wait for a provider that is down, rather than to fail at once.

        Raises:
            CallFailed: the last failure.
        """
        started = time.monotonic()
        if started >= deadline:
            raise CallFailed("timeout", "no time was left")
        retrying = AsyncRetrying(
            retry=retry_if_exception(partial(self._is_retried, patient)),
            wait=self._wait_s,
            stop=stop_before_delay(deadline - started),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            return await retrying(self._once, attempt)
        except CallFailed as failed:
            if failed.outcome in DOWN and not self.breaker.is_open:
                self.breaker.give_up(started)
            raise

    async def _once(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        self.breaker.check()
        try:
            result = await attempt()
        except CallFailed as failed:
            self.breaker.record(failed.outcome, str(failed))
            raise
        self.breaker.record("ok")
        return result

    def _is_retried(self, patient: bool, error: BaseException) -> bool:
        if not isinstance(error, CallFailed) or error.outcome not in RETRIED:
            return False
        return not self.breaker.is_open or (patient and not self.breaker.is_hopeless)

    def _wait_s(self, state: RetryCallState) -> float:
        """The provider's Retry-After where it gave one, a growing random time otherwise; neither for all alike."""
        failed = state.outcome.exception() if state.outcome else None
        assert isinstance(failed, CallFailed)
        if failed.outcome == "timeout" and failed.status is None:  # enough was waited already
            return random.uniform(0, self._settings.first_wait_s / 2)
        asked = failed.retry_after_s
        if asked is None or asked < self._settings.first_wait_s:
            return max(asked or 0.0, float(self._backoff(state)))
        return min(asked, self._settings.longest_retry_after_s) * random.uniform(1, 1 + SPREAD)


def failure(response: Response, advice: Callable[[int], str]) -> CallFailed:
    """What a response that is no answer means.

    Args:
        response: With a status other than 200.
        advice: What to look at after a 401, 403 or 404.
    """
    said = error_text(response.body)
    message = f"status {response.status}{f': {said}' if said else ''}"
    if response.status == HTTPStatus.TOO_MANY_REQUESTS and QUOTA_USED_UP in said:
        return CallFailed(
            "rejected", f"{message.rstrip('.')}. Look at the plan and billing of the account.", same_for_all=True
        )
    if response.status in RATE_LIMITS:
        return CallFailed("rate_limited", message, retry_after_s(response.headers))
    if response.status == HTTPStatus.REQUEST_TIMEOUT:
        return CallFailed("timeout", message, status=response.status)
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return CallFailed("server_error", message, retry_after_s(response.headers), status=response.status)
    if response.status in SAME_FOR_ALL:
        advised = f"{message.rstrip('.')}. {advice(response.status)}"
        return CallFailed("rejected", advised, same_for_all=True, status=response.status)
    return CallFailed("rejected", message)


def error_text(body: bytes) -> str:
    """What an error response says, in the shapes of OpenAI, Anthropic and Databricks; its beginning in any other."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = body.decode(errors="replace").strip()
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    said = str(error)
    if isinstance(error, dict):
        parts = (error.get("code") or error.get("error_code") or error.get("type"), error.get("message"))
        said = ": ".join(str(part) for part in parts if part)
    whole = said.encode(errors="replace").decode()
    return redact(whole)[:SHOWN_CHARS]  # in this order, because half a key is not known as one


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds: a number, a date, or OpenAI's milliseconds; None without one."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1000
            return max(seconds, 0.0) if math.isfinite(seconds) else None
        if not (value := headers.get("retry-after")):
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        moment = parsedate_to_datetime(value)
        return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
