"""A limit on what calls may cost, that is kept because the worst case is set aside before a call is sent."""

import asyncio

from agent.config import AgentConfig
from agent.errors import ConfigError


class BudgetSpent(Exception):
    """The next call could exceed the budget, so it is not made."""


def check_priced(config: AgentConfig) -> None:
    """Raise ConfigError unless it is known what the calls of a candidate cost, so that a budget can be kept."""
    if config.price is None:
        raise ConfigError(
            f"The price of {config.provider}:{config.model} is not known, so no budget can be kept. "
            "Add it to config/prices.yaml, or leave --max-usd out."
        )


class Budget:
    """Money for calls, shared by all that are in flight in one event loop.

    Args:
        max_usd: What all calls together may cost, in USD.
    """

    def __init__(self, max_usd: float) -> None:
        self.max_usd = max_usd
        self.is_spent = False
        """Whether a call was not made for lack of money."""
        self.dearest_usd = 0.0
        """The highest worst case of a call so far."""
        self._settled = 0.0
        self._set_aside = 0.0
        self._in_flight = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def spent_usd(self) -> float:
        """What the calls made so far cost at most: unanswered ones, and those in flight, at their worst case."""
        return self._settled + self._set_aside

    @property
    def left_usd(self) -> float:
        """What is not spent."""
        return max(self.max_usd - self.spent_usd, 0.0)

    async def set_aside(self, worst_usd: float) -> None:
        """Set aside what a call can cost, waiting while calls in flight may still turn out cheaper than feared.

        Raises:
            BudgetSpent: it is too much even when nothing is in flight; nobody gets anything from then on.
        """
        while not self.is_spent and self.spent_usd + worst_usd > self.max_usd and self._in_flight:
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change
        if self.is_spent or self.spent_usd + worst_usd > self.max_usd:
            self.is_spent = True
            self._tell_waiting()
            raise BudgetSpent
        self.dearest_usd = max(self.dearest_usd, worst_usd)
        self._set_aside += worst_usd
        self._in_flight += 1

    def settle(self, worst_usd: float, cost_usd: float | None) -> None:
        """A call is over: what it cost takes the place of its worst case; that stays where nobody knows the cost."""
        self._in_flight -= 1
        self._set_aside = self._set_aside - worst_usd if self._in_flight else 0.0
        self._settled += worst_usd if cost_usd is None else cost_usd
        self._tell_waiting()

    def charge(self, usd: float, *, is_spent: bool) -> None:
        """Take note of what calls cost that another process made, and whether money was short there."""
        self._settled += usd
        self.is_spent = self.is_spent or is_spent

    async def has_room(self) -> bool:
        """Wait until no call waits for money, so that nothing is begun that could not go on; False when it is spent."""
        while self._waiting and not self.is_spent:
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change
        return not self.is_spent

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
