"""Ctrl-C and SIGTERM: they end an evaluation, but not in the middle of what it writes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], object] | int | None


@contextmanager
def hearing() -> Iterator[list[int]]:
    """The signals so far. Each raises SystemExit with the exit code of shells, such as 130 after Ctrl-C.

    Python drops what a handler raises when the signal comes during a destructor or the callback of a weak reference,
    so whoever goes on has to look at the list.
    """
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        raise SystemExit(128 + number)

    listens = [number for number, before in handlers().items() if before is not signal.SIG_IGN]
    with handled_by(dict.fromkeys(listens, hear)):
        yield heard


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What the first signal raises is raised when the body has ended; what a second one raises, at once.

    An exception amid the work of SQLAlchemy can leave a transaction open, and then the database stays locked.
    """
    kept: list[BaseException] = []

    def later(before: Callable[[int, FrameType | None], object]) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                before(number, frame)
            except BaseException as error:
                if kept:
                    raise
                kept.append(error)

        return handle

    try:
        with handled_by({number: later(before) for number, before in handlers().items() if callable(before)}):
            yield
    finally:
        if kept:
            raise kept[0]


def handlers() -> dict[int, Handler]:
    """Those of now; none outside the main thread, which alone can set them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in SIGNALS}


@contextmanager
def handled_by(given: dict[int, Handler]) -> Iterator[None]:
    """Other handlers for a while."""
    before = {number: signal.signal(number, handler) for number, handler in given.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
