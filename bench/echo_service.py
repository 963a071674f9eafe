"""A stand-in for LLM services that costs next to no processor time: every question gets the same answer, late.

    python bench/echo_service.py [PORT] [--latency-ms 200] [--various]

It prints the port that it listens on. `GET /stats` tells what happened since it was last asked. With `--various`
labels and tokens differ by request, but not from one time to the next. Requests are not checked at all;
tests/llm_server.py does that, but is too slow to be measured against.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple
from zlib import crc32

END_OF_HEAD = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CATEGORIES = ("Politics", "Technology", "Business", "Sports", "Entertainment", "Health", "Science", "World News")
SENTIMENTS = ("Neutral", "Positive", "Negative")
TEXTS = [
    json.dumps({"category": category, "sentiment": sentiment})
    for category, sentiment in product(CATEGORIES, SENTIMENTS)
]
LABELS = TEXTS[0]
"""The answer to every request, unless they differ."""
OUTPUT_TOKENS = 12


def chat(text: str, input_tokens: int) -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": input_tokens + OUTPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_1",
    }


def message(text: str, input_tokens: int) -> dict[str, Any]:
    """An Anthropic message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": OUTPUT_TOKENS,
        },
    }


class Answer(NamedTuple):
    """A whole HTTP response, and the tokens that it bills."""

    whole: bytes
    input_tokens: int
    output_tokens: int


def response(payload: object, status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    body = json.dumps(payload).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answers() -> Iterator[tuple[bytes, list[Answer]]]:
    """Each path with all answers that it gives."""
    tokens = range(700, 700 + 10 * len(TEXTS), 10)
    for path, body in (("chat/completions", chat), ("messages", message)):
        whole = [Answer(response(body(*each)), each[1], OUTPUT_TOKENS) for each in zip(TEXTS, tokens, strict=True)]
        yield f"POST /v1/{path}".encode(), whole
        yield f"POST /serving-endpoints/{path}".encode(), whole


ANSWERS: Mapping[bytes, Sequence[Answer]] = dict(answers())
NOT_FOUND = Answer(response({"error": {"message": "no such path"}}, "404 Not Found"), 0, 0)


class Statistics:
    """What happened so far. Times are seconds of a clock that only differences mean anything on."""

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.first_request_s = 0.0
        self.last_answer_s = 0.0
        self.repeats = 0
        """Answers to what had been answered before, even before the statistics were last asked for."""
        self.input_tokens = 0
        self.output_tokens = 0

    def begin(self) -> None:
        """Count a request that has arrived whole."""
        if not self.requests:
            self.first_request_s = time.monotonic()
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, answer: Answer, *, repeated: bool) -> None:
        """Count an answer, and bill it, whether or not there is still somebody to take it."""
        self.in_flight -= 1
        self.repeats += repeated
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens
        self.last_answer_s = time.monotonic()


class Service:
    """What all connections share."""

    def __init__(self, latency_s: float, *, various: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.latency_s = latency_s
        self.various = various
        self.statistics = Statistics()
        self.answered: set[int] = set()
        """Hashes of the bodies that were answered."""


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
            target, body = self.received[: self.received.find(b" HTTP/")], self.received[end + len(END_OF_HEAD) : size]
            self.received = self.received[size:]
            self.take(target, body)

    def take(self, target: bytes, body: bytes) -> None:
        """Take one request, by its method and path."""
        service = self.service
        if target == b"GET /stats":
            self.transport.write(response(vars(service.statistics)))
            service.statistics = Statistics()
            return
        service.statistics.begin()
        possible = ANSWERS.get(target, [NOT_FOUND])
        answer = possible[crc32(body) % len(possible) if service.various else 0]
        service.loop.call_later(service.latency_s, self.answer, answer, hash(body))

    def answer(self, answer: Answer, question: int) -> None:
        """Send an answer."""
        service = self.service
        service.statistics.end(answer, repeated=question in service.answered)
        service.answered.add(question)
        self.transport.write(answer.whole)


async def serve(port: int, latency_s: float, *, various: bool) -> None:
    """Answer on 127.0.0.1 until the process is ended."""
    service = Service(latency_s, various=various)
    server = await service.loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Listen on a port, any free one unless it is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--various", action="store_true", help="Labels and tokens differ by request.")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.latency_ms / 1000, various=options.various))


if __name__ == "__main__":
    main()
