"""The budget: never more than was allowed, whatever the order, and work as long as the next call is affordable."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.budget import Budget, BudgetSpent
from agent.desk import Desk
from agent.records import Call
from agent.slots import Slots

UNIT = 1 / 1024
"""Money in steps that add up exactly."""


class Made(NamedTuple):
    """A call that somebody wants to make."""

    worst: int
    cost: int | None
    """None when it is never answered."""
    begins: int
    lasts: int
    """In turns of the event loop."""
    cancelled: bool


@st.composite
def wanted(draw: st.DrawFn) -> Made:
    worst = draw(st.integers(1, 50))
    cost = draw(st.none() | st.integers(0, worst))
    return Made(worst, cost, draw(st.integers(0, 12)), draw(st.integers(0, 12)), draw(st.integers(0, 9)) == 0)


class Shop:
    """Makes calls as they are wanted, and keeps the true invoice in units."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.invoice, self.made = desk, 0, 0
        self.refused: list[Made] = []

    async def serve(self, calls: Sequence[Made]) -> None:
        tasks = [asyncio.create_task(self.one(want)) for want in calls]
        await turns(6)
        for task, want in zip(tasks, calls, strict=True):
            if want.cancelled:
                task.cancel()
        async with asyncio.timeout(10):
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        assert self.desk.slots.in_use == 0

    async def one(self, want: Made) -> None:
        await turns(want.begins)
        record: list[Call] = []
        budget = self.desk.budget
        assert budget
        try:
            async with self.desk.slots, self.desk.paid(want.worst * UNIT, record):
                self.made += 1
                assert budget.spent_usd <= budget.max_usd
                await turns(want.lasts)
                self.invoice += want.worst if want.cost is None else want.cost
                usd = None if want.cost is None else want.cost * UNIT
                record.append(Call(stage="classify", model="m", outcome="ok", latency_ms=1.0, cost_usd=usd))
        except BudgetSpent:
            self.refused.append(want)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@settings(max_examples=300)
@given(calls=st.lists(wanted(), max_size=40), allowed=st.integers(1, 600), workers=st.integers(1, 64))
def test_it_is_never_exceeded_and_stops_only_when_a_call_does_not_fit(
    calls: Sequence[Made], allowed: int, workers: int
) -> None:
    budget = Budget(allowed * UNIT)
    shop = Shop(Desk(Slots(workers), True, None, 0, budget, {}))
    asyncio.run(shop.serve(calls))
    assert shop.invoice * UNIT <= budget.spent_usd <= budget.max_usd
    if not any(want.cancelled for want in calls):
        assert shop.invoice * UNIT == budget.spent_usd, "calls that were never answered stay at their worst case"
        assert shop.made + len(shop.refused) == len(calls)
    assert budget.is_spent == bool(shop.refused)
    if shop.refused:  # the first one would not have fitted with nothing in flight
        assert budget.spent_usd + max(want.worst for want in shop.refused) * UNIT > budget.max_usd


def test_nothing_is_begun_that_would_wait_for_money() -> None:
    async def work() -> None:
        budget = Budget(1.0)
        await budget.set_aside(0.8)
        waits = asyncio.create_task(budget.set_aside(0.5))
        room = asyncio.create_task(budget.has_room())
        await asyncio.sleep(0.01)
        assert not waits.done()
        assert not room.done()
        budget.settle(0.8, 0.1)
        assert await asyncio.wait_for(room, 1)
        await asyncio.wait_for(waits, 1)
        budget.settle(0.5, None)
        with pytest.raises(BudgetSpent):
            await budget.set_aside(0.5)
        assert not await budget.has_room()
        with pytest.raises(BudgetSpent):  # nobody gets anything from then on, so that what is left out is the rest
            await budget.set_aside(0.0001)
        assert budget.spent_usd == pytest.approx(0.6)

    asyncio.run(work())
