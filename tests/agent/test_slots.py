"""Calls in flight: single refusals change nothing, an overload does, and no place is ever lost."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.providers import Pace
from agent.records import Article, Classification
from agent.slots import PAUSE_S, WINDOW, Slots
from eval.candidates import load_candidate
from tests.eval.conftest import KEY, provider_environment
from tests.llm_server import Behaviour, LLMServer


@settings(max_examples=100)
@given(answers=st.lists(st.booleans(), max_size=400))
def test_the_limit_falls_exactly_when_more_than_a_fifth_of_the_last_fifty_were_refused(answers: list[bool]) -> None:
    async def work() -> None:
        slots = Slots(64)
        window: list[bool] = []
        for refused in answers:
            window.append(refused)
            before = slots.limit
            slots.record(refused, 0.0)
            if len(window) >= WINDOW and sum(window[-WINDOW:]) > 10:
                assert slots.limit == max(before // 2, 1)
                window.clear()
            else:
                assert slots.limit >= before

    asyncio.run(work())


def test_the_limit_comes_back_step_by_step() -> None:
    async def work() -> None:
        slots = Slots(32)
        for _ in range(WINDOW):
            slots.record(True, 0.0)
        limits = [slots.limit]
        for _ in range(200):
            slots.record(False)
            if slots.limit != limits[-1]:
                limits.append(slots.limit)
        assert limits == [16, 20, 24, 28, 32]

    asyncio.run(work())


@pytest.mark.parametrize("waits", [(0.2,), (0.1, 0.3), (0.3, 0.1)])
def test_nobody_gets_a_slot_before_the_longest_pause_is_over(waits: tuple[float, ...]) -> None:
    """Regression: the end of a short pause ended a longer one that began meanwhile."""

    async def work() -> None:
        slots = Slots(4)
        started = time.monotonic()
        for wait_s in waits:
            for _ in range(WINDOW):
                slots.record(True, wait_s)
        async with asyncio.timeout(5), slots:
            assert time.monotonic() - started >= max(waits) - 0.01
        assert slots.in_use == 0

    asyncio.run(work())


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), most=st.integers(1, 8))
def test_cancelled_callers_take_no_slot_with_them(seed: int, most: int) -> None:
    chance = random.Random(seed)

    async def work() -> None:
        slots = Slots(most)

        async def one() -> None:
            async with slots:
                assert slots.in_use <= most
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(one()) for _ in range(30)]
        for _ in range(40):
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
            await asyncio.sleep(0)
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert slots.in_use == 0
        async with asyncio.timeout(1), contextlib.AsyncExitStack() as all_slots:
            for _ in range(most):
                await all_slots.enter_async_context(slots)

    asyncio.run(work())


# At a service.


class Crowded(LLMServer):
    """Refuses whatever comes while more than eight requests are being answered."""

    def _behaviour(self, request: web.Request) -> Behaviour:
        in_flight = sum(not received.status for received in self.requests[-400:])
        return Behaviour(status=429, retry_after="1") if in_flight > 8 else self.behaviour


@pytest.fixture(params=[LLMServer])
def llm(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    with request.param(api_key=KEY) as server:
        for name, value in provider_environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


def ask(count: int, concurrency: int, slots: Slots | None = None) -> tuple[list[Classification], float]:
    config = AgentConfig.model_validate(
        load_candidate(provider="openai").model_dump() | {"retries": {"first_wait_s": 0.1}}
    )
    articles = [Article(title=f"Title {number}") for number in range(count)]
    started = time.monotonic()
    pace = Pace(concurrency, patient=True, slots=slots)
    return [record for _, record in Classifier(config).classify(articles, pace)], time.monotonic() - started


def test_a_few_refusals_cost_only_the_articles_that_they_met(llm: LLMServer) -> None:
    llm.behaviour = Behaviour(latency_s=0.1)
    _, plain_s = ask(400, 16)
    refusals = random.Random(7)
    llm.script(
        Behaviour(status=429, retry_after="0.2") if refusals.random() < 0.05 else llm.behaviour for _ in range(430)
    )
    slots = Slots(16)
    records, s = ask(400, 16, slots)
    assert sum(len(record.calls) > 1 for record in records) > 10
    assert not any(record.error for record in records)
    assert slots.limit == 16
    assert s < 2 * plain_s


@pytest.mark.parametrize("llm", [Crowded], indirect=True)
def test_an_overloaded_service_is_asked_more_slowly_until_all_is_answered(llm: LLMServer) -> None:
    llm.behaviour = Behaviour(latency_s=0.05)
    slots = Slots(48)
    records, s = ask(300, 48, slots)
    assert len(records) == 300
    assert not any(record.error for record in records)
    refused = sum(received.status == 429 for received in llm.requests)
    assert refused < 300, "a step that was too much is not tried again at once; it was after every pause, 1,000 times"
    assert s >= PAUSE_S
