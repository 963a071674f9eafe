"""What all calls of one piece of work share: places, patience, the journal of answers, and the money."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from agent.budget import Budget
from agent.journal import Journal
from agent.records import Call
from agent.slots import Slots


class Desk(NamedTuple):
    """Where the calls for many articles are made from."""

    slots: Slots
    patient: bool
    journal: Journal | None
    repeat: int
    budget: Budget | None
    turns: dict[bytes, asyncio.Lock]
    """Of the questions that are being asked."""

    @asynccontextmanager
    async def alone_with(self, key: bytes) -> AsyncIterator[None]:
        """Wait until nobody else asks the same question."""
        async with self.turns.setdefault(key, asyncio.Lock()):
            yield

    @asynccontextmanager
    async def paid(self, worst_usd: float, calls: Sequence[Call]) -> AsyncIterator[None]:
        """Set the worst case of a call aside while it is made, then settle what it cost.

        Args:
            worst_usd: The most that the call can cost.
            calls: Where the call will be on record.

        Raises:
            BudgetSpent: the call could exceed the budget; it is not made.
        """
        if self.budget is None:
            yield
            return
        await self.budget.set_aside(worst_usd)
        before = len(calls)
        try:
            yield
        finally:
            self.budget.settle(worst_usd, calls[before].cost_usd if len(calls) > before else None)
