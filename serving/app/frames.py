"""Messages between the server and its workers: bytes behind their length, over a pair of sockets.

Only the standard library, because a worker imports this before the code of the version that it serves.
"""

import asyncio
from collections.abc import Callable
from typing import cast

LENGTH_BYTES = 4


class Frames(asyncio.Protocol):
    """One end of the connection.

    Args:
        on_message: Called with every message.
        on_end: Called once, when the other end is gone.
    """

    def __init__(self, on_message: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop: hand over every message that is complete."""
        self._received += data
        start, end = 0, len(self._received)
        while end - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            following = body + int.from_bytes(self._received[start:body], "big")
            if following > end:
                break
            self._on_message(bytes(self._received[body:following]))
            start = following
        del self._received[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._on_end()

    def send(self, message: bytes) -> None:
        """Send a message; what is sent to an end that is gone is lost."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(framed(message))

    def close(self) -> None:
        """End the connection after what was sent. Closing twice is allowed."""
        if self._transport:
            self._transport.close()


def framed(message: bytes) -> bytes:
    """A message behind its length."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message
