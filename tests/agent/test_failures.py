import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.failures import (
    DOWN,
    HOPELESS_PROBES,
    PROBE_WAIT_S,
    SHOWN_CHARS,
    CallFailed,
    CircuitBreaker,
    FailurePolicy,
    RetrySettings,
    error_text,
    failure,
    retry_after_s,
)
from agent.records import Outcome
from agent.transport import Response

PAUSE_S = 10.0
SETTINGS = RetrySettings(open_after=3, pause_s=PAUSE_S)
NOW = datetime(2026, 10, 6, 12, 0, tzinfo=UTC)
NUMBERS = st.decimals(allow_nan=False).map(str)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "code", "type"]), inner),
)


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(SETTINGS, clock)


def passes(breaker: CircuitBreaker) -> bool:
    try:
        breaker.check()
    except CallFailed:
        return False
    return True


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.record("server_error")


# When nobody is asked.


def test_a_provider_is_left_alone_after_failures_in_a_row_and_for_the_pause(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 2)
    assert passes(breaker)
    fail(breaker)
    assert breaker.is_open
    clock.now_s = 4
    with pytest.raises(CallFailed, match="not asked again for 6 s") as caught:
        breaker.check()
    assert (caught.value.outcome, caught.value.retry_after_s) == ("connection_error", 6)
    clock.now_s = PAUSE_S
    assert passes(breaker)


@pytest.mark.parametrize("outcome", ["ok", "rate_limited", "rejected"])
def test_any_sign_of_life_begins_the_count_anew(breaker: CircuitBreaker, outcome: Outcome) -> None:
    fail(breaker, 2)
    breaker.record(outcome)
    fail(breaker, 2)
    assert passes(breaker)


def test_one_caller_tries_after_the_pause_and_its_answer_lets_all_others_through(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now_s = PAUSE_S
    assert [passes(breaker) for _ in range(3)] == [True, False, False]
    with pytest.raises(CallFailed) as caught:
        breaker.check()
    assert caught.value.retry_after_s == PROBE_WAIT_S
    breaker.record("ok")
    assert [passes(breaker) for _ in range(3)] == [True, True, True]


def test_a_caller_who_tries_in_vain_begins_another_pause_and_after_two_there_is_no_hope(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    for tried in range(HOPELESS_PROBES):
        assert not breaker.is_hopeless
        clock.now_s += PAUSE_S
        assert passes(breaker)
        fail(breaker)
        assert not passes(breaker), tried
    assert breaker.is_hopeless
    clock.now_s += PAUSE_S
    assert passes(breaker)
    breaker.record("rate_limited")
    assert not breaker.is_hopeless
    assert not breaker.is_open


def test_a_caller_who_left_without_a_word_blocks_the_others_for_one_pause_only(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now_s = PAUSE_S
    assert passes(breaker)
    assert not passes(breaker)
    clock.now_s = 2 * PAUSE_S
    assert passes(breaker)


def test_who_waited_in_vain_closes_the_door_unless_others_were_answered_meanwhile(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    clock.now_s = 5
    breaker.record("ok")
    breaker.give_up(since=3)
    assert not breaker.is_open
    breaker.give_up(since=6)
    assert breaker.is_open


@given(st.lists(st.one_of(st.sampled_from(["check", *sorted(DOWN)]), st.floats(0, 2 * PAUSE_S)), max_size=60))
def test_a_provider_that_never_answers_is_asked_at_most_once_in_a_pause(steps: list[str | float]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(SETTINGS, clock)
    passed: list[float] = []
    for step in steps:
        if isinstance(step, float):
            clock.now_s += step
        elif step != "check":
            breaker.record(step)  # type: ignore[arg-type]
        elif passes(breaker) and breaker.is_open:
            passed.append(clock.now_s)
    assert all(later - earlier >= PAUSE_S for earlier, later in zip(passed, passed[1:], strict=False))


# What is tried again.


def answer_after(*failures: CallFailed) -> Callable[[], object]:
    """An attempt that fails so and then answers; `attempt.made` counts."""
    left = list(failures)

    async def attempt() -> str:
        attempt.made += 1  # type: ignore[attr-defined]
        if left:
            raise left.pop(0)
        return "answered"

    attempt.made = 0  # type: ignore[attr-defined]
    return attempt


def call(policy: FailurePolicy, attempt: object, *, within_s: float = 5, patient: bool = False) -> str:
    deadline = time.monotonic() + within_s
    return asyncio.run(policy.call(attempt, deadline=deadline, patient=patient))  # type: ignore[arg-type]


def hurried(**settings: float) -> FailurePolicy:
    return FailurePolicy(RetrySettings.model_validate({"first_wait_s": 0.001, "longest_wait_s": 0.002} | settings))


@pytest.mark.parametrize("outcome", ["rate_limited", "server_error", "timeout", "connection_error"])
def test_what_passes_by_itself_is_tried_again(outcome: Outcome) -> None:
    attempt = answer_after(CallFailed(outcome, "first"), CallFailed(outcome, "second"))
    assert call(hurried(), attempt) == "answered"


def test_what_stays_wrong_is_not() -> None:
    attempt = answer_after(CallFailed("rejected", "no such model"))
    with pytest.raises(CallFailed, match="no such model"):
        call(hurried(), attempt)
    assert attempt.made == 1  # type: ignore[attr-defined]


def test_a_mistake_in_the_program_is_not_mistaken_for_a_failure() -> None:
    async def attempt() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(hurried(), attempt)


def test_nobody_waits_for_what_comes_after_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(CallFailed):
        call(hurried(), answer_after(CallFailed("rate_limited", "busy", retry_after_s=3)), within_s=1)
    assert time.monotonic() - started < 0.5


def test_who_has_no_time_left_asks_nobody() -> None:
    attempt = answer_after()
    with pytest.raises(CallFailed, match="no time was left"):
        call(hurried(), attempt, within_s=0)
    assert attempt.made == 0  # type: ignore[attr-defined]


def test_waits_grow_at_random_up_to_their_bound() -> None:
    policy = FailurePolicy(RetrySettings(first_wait_s=0.02, longest_wait_s=0.05))
    started = time.monotonic()
    assert call(policy, answer_after(*[CallFailed("rate_limited", "busy")] * 20)) == "answered"
    assert 0.1 < time.monotonic() - started < 20 * 0.05 + 0.3


def test_only_the_patient_wait_for_a_provider_that_is_down() -> None:
    down = [CallFailed("server_error", "down")] * 3
    with pytest.raises(CallFailed, match="down"):
        call(hurried(open_after=3, pause_s=0.05), answer_after(*down))
    assert call(hurried(open_after=3, pause_s=0.05), answer_after(*down), patient=True) == "answered"
    with pytest.raises(CallFailed, match="down"):
        call(hurried(open_after=3, pause_s=0.05), answer_after(*down * 3), patient=True)


# What a response means.


@pytest.mark.parametrize(
    ("status", "outcome", "same_for_all"),
    [
        (301, "rejected", False),
        (400, "rejected", False),
        (401, "rejected", True),
        (403, "rejected", True),
        (404, "rejected", True),
        (408, "timeout", False),
        (413, "rejected", False),
        (422, "rejected", False),
        (429, "rate_limited", False),
        (500, "server_error", False),
        (502, "server_error", False),
        (503, "server_error", False),
        (504, "server_error", False),
        (529, "rate_limited", False),
    ],
)
def test_each_status_is_one_kind_of_failure(status: int, outcome: Outcome, same_for_all: bool) -> None:
    failed = failure(Response(status, {}, b""), lambda status: f"Look at {status}.")
    assert (failed.outcome, failed.same_for_all) == (outcome, same_for_all)
    assert str(failed) == f"status {status}" + (f". Look at {status}." if same_for_all else "")


@pytest.mark.parametrize("code", ["insufficient_quota", None])
def test_an_account_without_credit_is_not_waited_for(code: str | None) -> None:
    error = {"message": "You exceeded your current quota.", "type": "insufficient_quota", "param": None, "code": code}
    failed = failure(Response(429, {"retry-after": "1"}, json.dumps({"error": error}).encode()), lambda _: "")
    assert (failed.outcome, failed.same_for_all) == ("rejected", True)
    assert "plan and billing" in str(failed)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit"}}, "rate_limit: Slow down."),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Hm."}}, "overloaded_error: Hm."),
        ({"error_code": "PERMISSION_DENIED", "message": "No."}, "PERMISSION_DENIED: No."),
        ({"error": "invalid_client", "error_description": "No."}, "invalid_client"),
        ({"error": None}, "None"),
        ([1, 2], "[1, 2]"),
        ({}, ""),
    ],
)
def test_an_error_is_read_in_each_providers_shape(body: object, said: str) -> None:
    assert error_text(json.dumps(body).encode()) == said


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_error_is_some_short_text(body: bytes) -> None:
    assert len(error_text(body)) <= SHOWN_CHARS


# How long a provider asks to be left alone.


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "\u00b2"}, None),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "-1"}, 0),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after": "Tue, 06 Oct 2026 14:00:30 +0200"}, 30),
    ],
)
def test_retry_after_is_read_in_seconds_milliseconds_and_dates(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text() | NUMBERS))
def test_no_text_in_retry_after_does_harm(headers: dict[str, str]) -> None:
    seconds = retry_after_s(headers)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after-ms": "nan"},
        {"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"},
        {"retry-after": "Mon, 01 Jan 2020 00:00:00 +99999999999999999"},
    ],
    ids=["nan", "year", "zone"],
)
def test_a_retry_after_out_of_this_world_is_none(headers: dict[str, str]) -> None:
    assert retry_after_s(headers) is None
