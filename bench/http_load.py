"""Asks an HTTP server as fast as it answers, over connections that are kept open, in a process of its own.

    python bench/http_load.py URL BODIES REQUESTS IN_FLIGHT HOLDS

BODIES is a file with one body a line, asked in turn and from the start again. An answer counts if its status is 200
and it holds the text HOLDS; what else happened is counted by its kind. It reads no more of HTTP than the servers here
send, so that it costs little beside them.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

END_OF_HEAD = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STATUS = slice(len("HTTP/1.1 "), len("HTTP/1.1 200"))
SILENCE_S = 60.0
"""After so long without an answer a connection is given up."""


class Outcome(NamedTuple):
    """What a load found."""

    answers: int
    """Those that count."""
    seconds: float
    median_ms: float
    p95_ms: float
    cpu_s: float
    """Processor time of the load itself."""
    problems: Mapping[str, int]
    """What else happened, by its kind."""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def own_share(self) -> float:
        """How much of one processor the load itself took; near 1 it would be the bottleneck."""
        return self.cpu_s / self.seconds


class Caller(asyncio.Protocol):
    """One connection, which always has one request in flight.

    Args:
        requests: What is asked, shared by all connections.
        holds: What an answer must hold.
        latencies_s: Where the time of each answer that counts goes.
        problems: Where everything else is counted.
    """

    transport: asyncio.Transport

    def __init__(
        self, requests: Iterator[bytes], holds: bytes, latencies_s: list[float], problems: Counter[str]
    ) -> None:
        self._requests = requests
        self._holds = holds
        self._latencies_s = latencies_s
        self._problems = problems
        self._received = b""
        self._is_waiting = False
        self._asked_s = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)
        self._watch()
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        head_end = self._received.find(END_OF_HEAD)
        if head_end < 0:
            return
        length = CONTENT_LENGTH.search(self._received, 0, head_end)
        if not length:
            self._problems["an answer without its length"] += 1
            self.transport.abort()
            return
        if len(self._received) < head_end + len(END_OF_HEAD) + int(length[1]):
            return
        self._take(self._received, time.perf_counter() - self._asked_s)
        self._received = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._is_waiting:
            self._problems[f"connection lost ({type(exc).__name__ if exc else 'closed'})"] += 1
        if self._silence:
            self._silence.cancel()
        self.ended.set_result(None)

    def _ask(self) -> None:
        request = next(self._requests, None)
        self._is_waiting = request is not None
        if request is None:
            self.transport.close()
            return
        self._asked_s = time.perf_counter()
        self.transport.write(request)

    def _take(self, answer: bytes, seconds: float) -> None:
        if (status := answer[STATUS].decode()) != "200":
            self._problems[f"status {status}"] += 1
        elif self._holds not in answer:
            self._problems["an answer of another kind"] += 1
        else:
            self._latencies_s.append(seconds)

    def _watch(self) -> None:
        """Give up a connection that says nothing."""
        if self._asked_s and time.perf_counter() - self._asked_s > SILENCE_S:
            self._problems["no answer in time"] += 1
            self._is_waiting = False
            self.transport.abort()
            return
        self._silence = asyncio.get_running_loop().call_later(SILENCE_S / 10, self._watch)


async def run(url: str, bodies: list[bytes], requests: int, in_flight: int, holds: bytes) -> Outcome:
    """Ask so many requests, so many of them at a time."""
    target = urlsplit(url)
    host, port = target.hostname or "", target.port or 80
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: application/json\r\n"
    whole = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    asked = islice(cycle(whole), requests)
    latencies_s: list[float] = []
    problems: Counter[str] = Counter()
    started, cpu_started = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(asked, holds, latencies_s, problems), host, port))[1]
        for _ in range(in_flight)
    ]
    await asyncio.gather(*(caller.ended for caller in callers))
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    ordered = sorted(latencies_s) or [float("nan")]
    p95_ms = 1000 * ordered[int(0.95 * (len(ordered) - 1))]
    return Outcome(len(latencies_s), seconds, 1000 * median(ordered), p95_ms, cpu_s, problems)


def load(url: str, bodies: Path, requests: int, in_flight: int, holds: str) -> Outcome:
    """The same in a process of its own. Args as above."""
    command = [sys.executable, __file__, url, str(bodies), str(requests), str(in_flight), holds]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(*json.loads(done.stdout))


def main() -> None:
    """Ask and print what was found."""
    url, bodies, requests, in_flight, holds = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    print(json.dumps(uvloop.run(run(url, lines, int(requests), int(in_flight), holds.encode()))))


if __name__ == "__main__":
    main()
