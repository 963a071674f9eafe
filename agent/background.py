"""One event loop in a thread of its own, where all waiting for providers happens, whichever thread calls."""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
EXIT_TIMEOUT_S = 1.0
_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process, started when first asked for; a forked process starts its own."""
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="news-classifier-io", daemon=True).start()
            _running = (os.getpid(), loop)
        return _running[1]


def run(work: Coroutine[Any, Any, Item]) -> Item:
    """Do some work in the background loop and wait for it."""
    return asyncio.run_coroutine_threadsafe(work, background_loop()).result()


async def in_thread(work: Callable[[], Item]) -> Item:
    """Do blocking work in a thread that, unlike those of asyncio, does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Item] = loop.create_future()

    def finish(result: Item | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(cast(Item, result))

    def do() -> None:
        try:
            result = work()
        except Exception as err:
            loop.call_soon_threadsafe(finish, None, err)
        else:
            loop.call_soon_threadsafe(finish, result, None)

    threading.Thread(target=do, daemon=True).start()
    return await done


def at_exit(finish: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do some last work in the background loop when this process ends, unless that takes too long."""
    owner = os.getpid()

    def last() -> None:
        if os.getpid() == owner:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(finish(), background_loop()).result(EXIT_TIMEOUT_S)

    atexit.register(last)


def iterate(produce: Callable[[Callable[[Item], None]], Coroutine[Any, Any, None]]) -> Iterator[Item]:
    """Items as work in the background loop hands them over; the work is cancelled when they are not wanted any more.

    Args:
        produce: Given a function that hands one item over, does the work.
    """
    items: SimpleQueue[Item | Future[None]] = SimpleQueue()
    work = asyncio.run_coroutine_threadsafe(produce(items.put), background_loop())
    work.add_done_callback(items.put)
    try:
        while not isinstance(item := items.get(), Future):
            yield item
        item.result()
    finally:
        work.cancel()
