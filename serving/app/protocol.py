"""HTTP as uvicorn reads it, for callers who send a request slowly, without end, or something else."""

import asyncio
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.app.problems import Problem

MAX_HEAD_BYTES = 65_536
"""Of everything around a body: its head, what stands between its chunks and behind them."""
NO_HTTP = Problem(HTTPStatus.BAD_REQUEST, "This cannot be read as HTTP/1.1.")
TOO_SLOW = Problem(HTTPStatus.REQUEST_TIMEOUT, "The head of the request did not arrive in time.")
TOO_LONG = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The head of a request may have {MAX_HEAD_BYTES:,} bytes."
)


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
    _offered: bytes | None = None
    """The head of a request that offers another protocol, without the offer."""

    def connection_made(self, transport: Any) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as err:
            self.send_400_response(str(err))
        except httptools.HttpParserUpgrade as err:
            self._decline(data[err.args[0] :])
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._give_up(TOO_LONG)

    def send_400_response(self, msg: str) -> None:
        """Called at what is no HTTP."""
        if self.pipeline or (self.cycle and self.cycle.response_started and not self.cycle.response_complete):
            self.transport.close()  # the caller would take it for a part of the answer that has begun
        else:
            self._refuse(NO_HTTP)

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of a request."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of the head."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offered = self._head_without_offer()
            return
        self._unread_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a part of the body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of a request."""
        if self._offered is not None:
            return
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

    def _head_without_offer(self) -> bytes:
        start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([start, *fields, b"", b""])

    def _decline(self, rest: bytes) -> None:
        """Read on in HTTP/1.1, as servers may (RFC 9110, section 7.8), where a caller offered another protocol.

        Java's clients offer HTTP/2 with every request. The parser would drop the body, or take it for the next request.
        """
        head, self._offered = self._offered, None
        if head is not None:
            self.parser = httptools.HttpRequestParser(self)
            self.data_received(head + rest)

    def _wait(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.patience_s, self._give_up, TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _give_up(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body):
            self._refuse(problem)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer where there is no request that the guard could answer, and end the connection."""
        request_id = uuid4().hex
        answer = problem.response(request_id)
        answer.headers.update({"x-request-id": request_id, "connection": "close"})
        head = b"".join(b"%b: %b\r\n" % field for field in answer.raw_headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[problem.status], head, bytes(answer.body)))
        self.transport.close()


def impatient(seconds: float) -> type[ImpatientProtocol]:
    """The protocol with this much patience for a head."""
    return type("ImpatientProtocol", (ImpatientProtocol,), {"patience_s": seconds})
