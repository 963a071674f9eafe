"""How many calls may be in flight: as many as were asked for, fewer while the provider is overloaded."""

import asyncio
from collections import deque
from types import TracebackType

WINDOW = 50
"""Answers that are looked at."""
TOO_MANY = 0.2
"""Share of them that may say "too many requests" before fewer are sent; below it each such article waits by itself."""
PAUSE_S = 1.0
"""How long nothing is sent when fewer are, where the provider did not say how long, in seconds."""
LONGEST_PAUSE_S = 65.0
"""A provider's own wish is obeyed up to this; it outlasts a limit by the minute."""
STEPS = 8
"""The way back to what was asked for has at most so many steps."""
MOST_PATIENCE = 32
"""A step that was too much is tried again after twice as many answers each time, up to so many times as many."""


class Slots:
    """Places for calls in flight, given in the order they are asked for. Use it in one event loop.

    Halving the number on every refusal would make a run with a few of them many times slower, so single ones change
    nothing. When more than a fifth of the last fifty answers were refusals, half as many calls may be in flight and
    nothing is sent for as long as the provider asked; then every window of answers gives some back. A step that brings
    the refusals back is one beyond what the provider bears, so the next waits longer.

    Args:
        most: Calls in flight at most.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = most
        """Calls that may be in flight now."""
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refusals: deque[bool] = deque(maxlen=WINDOW)
        self._since_step = 0
        self._patience = 1
        self._has_risen = False
        """Since the limit fell."""
        self._pauses = 0

    async def __aenter__(self) -> None:
        """Take a slot as soon as there is one."""
        if self._free() and not self._waiting:
            self.in_use += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the slot was given at the same moment
                self._give_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the slot back."""
        self._give_back()

    def record(self, refused: bool, retry_after_s: float | None = None) -> None:
        """Take note of an answer.

        Args:
            refused: Whether it said "too many requests", or that the provider is overloaded.
            retry_after_s: How long the provider asked to be left alone.
        """
        self._refusals.append(refused)
        if len(self._refusals) == WINDOW and sum(self._refusals) > TOO_MANY * WINDOW:
            self._refusals.clear()
            if self._has_risen:
                self._patience = min(self._patience * 2, MOST_PATIENCE)
            self._since_step, self._has_risen = 0, False
            self.limit = max(self.limit // 2, 1)
            self._pause(PAUSE_S if retry_after_s is None else min(retry_after_s, LONGEST_PAUSE_S))
            return
        self._since_step += not refused
        if self.limit < self.most and self._since_step >= max(self.limit, WINDOW) * self._patience:
            self._since_step, self._has_risen = 0, True
            self.limit = min(self.limit + max(self.most // STEPS, 1), self.most)
            self._wake()

    def _free(self) -> bool:
        return self.in_use < self.limit and not self._pauses

    def _give_back(self) -> None:
        self.in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._free():
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)

    def _pause(self, seconds: float) -> None:
        self._pauses += 1
        asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pauses -= 1
        self._wake()
