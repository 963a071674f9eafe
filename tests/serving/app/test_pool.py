"""Workers that cannot be had, or die at the wrong moment; what a pool does is in test_server.py."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.app.pool import Pool
from serving.app.process import Loaded, Worker
from serving.app.settings import ServingSettings
from serving.app.versions import Version

LOADED = Loaded("sklearn", "m", "0" * 64)


class Process:
    """A worker without a process."""

    def __init__(self) -> None:
        self.is_alive = True
        self.is_closed = False
        self.in_flight = 0
        self.silent_since = None
        self.ended = asyncio.Event()

    async def load(self, *_: Any) -> Loaded:
        return LOADED

    async def close(self) -> None:
        self.is_closed, self.is_alive = True, False

    def ping(self) -> None:
        """Heard."""

    def end(self) -> None:
        self.is_alive = False
        self.ended.set()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Process | OSError]:
    """What `Worker.start` gives, one after the other; a process where nothing is said."""
    coming: list[Process | OSError] = []

    async def start() -> Any:
        found = coming.pop(0) if coming else Process()
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(Worker, "start", start)
    return coming


def pool(size: int) -> Pool:
    return Pool(Version("m", "1", Path("x")), size, ServingSettings(), lambda: None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_processes_that_were_begun_end_where_others_cannot_be_had(started: list[Process | OSError]) -> None:
    begun, first = Process(), Process()
    started += [first, OSError("no process")]
    with pytest.raises(OSError, match="no process"):
        asyncio.run(pool(3).start([begun]))  # type: ignore[list-item]
    assert begun.is_closed
    assert first.is_closed


def test_a_worker_is_replaced_although_no_process_was_to_be_had_at_first(started: list[Process | OSError]) -> None:
    async def run() -> None:
        one, only = pool(1), Process()
        await one.start([only])  # type: ignore[list-item]
        started.append(OSError("no process"))
        only.end()
        await until(lambda: one.workers == 1)
        await one.close()

    asyncio.run(run())


def test_the_pauses_before_workers_are_replaced_grow_until_one_lives_long(
    started: list[Process | OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.pool.FIRST_PAUSE_S", 0.3)
    monkeypatch.setattr("serving.app.pool.LONG_LIFE_S", 0.4)

    async def run() -> list[float]:
        one, living, pauses_s = pool(1), Process(), []
        await one.start([living])  # type: ignore[list-item]
        clock = asyncio.get_running_loop().time
        for life_s in (0, 0, 0, 0.5, 0):
            await asyncio.sleep(life_s)
            started.append(following := Process())
            ended = clock()
            living.end()
            await until(lambda: one.workers == 1)
            pauses_s.append(clock() - ended)
            living = following
        await one.close()
        return pauses_s

    assert asyncio.run(run()) == pytest.approx([0, 0.3, 0.6, 0, 0.3], abs=0.15)


def test_a_worker_that_ends_while_others_load_is_replaced(started: list[Process | OSError]) -> None:
    async def run() -> None:
        two, early, late = pool(2), Process(), Process()

        async def load(*_: Any) -> Loaded:
            early.end()
            return LOADED

        late.load = load  # type: ignore[method-assign]
        await two.start([early, late])  # type: ignore[list-item]
        await until(lambda: two.workers == 2)
        await two.close()

    asyncio.run(run())
