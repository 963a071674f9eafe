"""Loads on servers and what is told of them, and of the memory that the servers take."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Figure
from http_load import Outcome, load
from servers import Running

LIMIT_WORKER_MB = 300


class Loads:
    """Loads on one server, kept to be judged together.

    Args:
        url: What is asked.
        bodies: File with the bodies.
        holds: What every answer holds.
    """

    def __init__(self, url: str, bodies: Path, holds: str) -> None:
        self._url = url
        self._bodies = bodies
        self._holds = holds
        self.outcomes: list[Outcome] = []

    def run(self, requests: int, in_flight: int) -> Outcome:
        """One load."""
        found = load(self._url, self._bodies, requests, in_flight, self._holds)
        self.outcomes.append(found)
        return found


def told(outcomes: Sequence[Outcome]) -> str:
    """What stands beside the figure of several loads."""
    rates = ", ".join(f"{found.per_s:,.0f}" for found in outcomes)
    return f"{rates} a second; the load took {max(found.own_share for found in outcomes):.0%} of a processor"


def not_answered(*loads: Loads) -> Figure:
    """How many requests of all loads did not get a proper answer."""
    problems: dict[str, int] = {}
    for outcome in (outcome for each in loads for outcome in each.outcomes):
        for kind, count in outcome.problems.items():
            problems[kind] = problems.get(kind, 0) + count
    return Figure("requests without a proper answer", sum(problems.values()), 0, "", str(problems or ""))


def memory(server: Running) -> Iterator[Figure]:
    """The memory of a server's processes."""
    found = server.memory_mb()
    for role, value in found.items():
        yield Figure(f"memory of the {role}", value, LIMIT_WORKER_MB if role == "worker" else None, "MB")
    yield Figure("memory of all", sum(found.values()), None, "MB")
