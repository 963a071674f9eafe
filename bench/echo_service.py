"""A stand-in for LLM services that costs next to no processor time: every question gets the same answer, late.

    python bench/echo_service.py [PORT] [--latency-ms 200]

It prints the port that it listens on. `GET /stats` tells what happened since it was last asked. Requests are not
checked at all; tests/llm_server.py does that, but is too slow to be measured against.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Mapping

END_OF_HEAD = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LABELS = json.dumps({"category": "Politics", "sentiment": "Neutral"})
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "echo",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": LABELS, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 700,
        "completion_tokens": 12,
        "total_tokens": 712,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "system_fingerprint": "fp_1",
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "echo",
    "content": [{"type": "text", "text": LABELS}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 700,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 12,
    },
}


def response(payload: object, status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    body = json.dumps(payload).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


ANSWERS: Mapping[bytes, bytes] = {
    b"POST /v1/chat/completions": response(CHAT),
    b"POST /serving-endpoints/chat/completions": response(CHAT),
    b"POST /v1/messages": response(MESSAGE),
}
NOT_FOUND = response({"error": {"message": "no such path"}}, "404 Not Found")


class Statistics:
    """What happened so far. Times are seconds of a clock that only differences mean anything on."""

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.first_request_s = 0.0
        self.last_answer_s = 0.0

    def begin(self) -> None:
        """Count a request that has arrived whole."""
        if not self.requests:
            self.first_request_s = time.monotonic()
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self) -> None:
        """Count an answer."""
        self.in_flight -= 1
        self.last_answer_s = time.monotonic()


class Service:
    """What all connections share."""

    def __init__(self, latency_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.latency_s = latency_s
        self.statistics = Statistics()


class Connection(asyncio.Protocol):
    """One connection, kept alive until the client closes it."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and every request that is whole with them."""
        self.received += data
        while (end := self.received.find(END_OF_HEAD)) >= 0:
            length = CONTENT_LENGTH.search(self.received, 0, end)
            size = end + len(END_OF_HEAD) + (int(length[1]) if length else 0)
            if len(self.received) < size:
                return
            target, self.received = self.received[: self.received.find(b" HTTP/")], self.received[size:]
            self.take(target)

    def take(self, target: bytes) -> None:
        """Take one request, by its method and path."""
        service = self.service
        if target == b"GET /stats":
            self.transport.write(response(vars(service.statistics)))
            service.statistics = Statistics()
            return
        service.statistics.begin()
        service.loop.call_later(service.latency_s, self.answer, ANSWERS.get(target, NOT_FOUND))

    def answer(self, whole: bytes) -> None:
        """Send an answer."""
        self.service.statistics.end()
        self.transport.write(whole)


async def serve(port: int, latency_s: float) -> None:
    """Answer on 127.0.0.1 until the process is ended."""
    service = Service(latency_s)
    server = await service.loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Listen on a port, any free one unless it is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--latency-ms", type=float, default=200)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.latency_ms / 1000))


if __name__ == "__main__":
    main()
