"""The stand-in for LLM services (echo_service.py) as those see it who measure against it."""

import http.client
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from surroundings import ROOT


class Load(NamedTuple):
    """So many articles, so many of them at a time."""

    articles: int
    in_flight: int

    def bound_s(self, latency_ms: float) -> float:
        """Seconds that no client can beat."""
        return math.ceil(self.articles / self.in_flight) * latency_ms / 1000


class Counted(NamedTuple):
    """What the service counted, as its `Statistics` have it."""

    requests: int
    in_flight: int
    peak_in_flight: int
    first_request_s: float
    last_answer_s: float
    repeats: int
    input_tokens: int
    output_tokens: int

    @property
    def phase_s(self) -> float:
        """From the first request to the last answer."""
        return self.last_answer_s - self.first_request_s


@contextmanager
def echo_service(latency_ms: float, *options: str) -> Iterator[str]:
    """Host and port of a service that lives as long as the context."""
    command = [sys.executable, str(ROOT / "bench/echo_service.py"), "--latency-ms", str(latency_ms), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def counted(address: str) -> Counted:
    """What the service counted since it was last asked."""
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", "/stats")
        return Counted(**json.loads(connection.getresponse().read()))


def counted_for(load: Load, address: str) -> Counted:
    """The same. Exits unless it was just this load."""
    found = counted(address)
    if found.requests != load.articles or found.peak_in_flight > load.in_flight:
        sys.exit(f"Not comparable: {load} was asked for, the service saw {found}.")
    return found
