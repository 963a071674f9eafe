"""HTTP as uvicorn reads it, for callers who send a request slowly or without end."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of everything around a body: its head, what stands between its chunks and behind them."""
TOO_SLOW = "408 Request Timeout"
TOO_LONG = "431 Request Header Fields Too Large"


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose next head does not arrive in time, or is too long.

    uvicorn itself waits for ever, and keeps whatever comes. The body is the guard's until the request is answered; what
    comes of it after that is read and forgotten for a while, because closing at once would take the answer away from a
    caller who is still sending.
    """

    patience_s = 20.0
    _due: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    """Received since a head, or a part of a body, was complete."""

    def connection_made(self, transport: Any) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._give_up(TOO_LONG)

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of a request."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of the head."""
        self._unread_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a part of the body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of a request."""
        self._unread_bytes = 0
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called when a request is answered."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.patience_s, self._give_up, TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _give_up(self, status: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body):
            self.transport.write(f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        self.transport.close()


def impatient(seconds: float) -> type[ImpatientProtocol]:
    """The protocol with this much patience for a head."""
    return type("ImpatientProtocol", (ImpatientProtocol,), {"patience_s": seconds})
