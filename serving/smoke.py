"""Asks a server about the golden articles, one after the other: whether labels, form, version and speed are right."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from agent.background import run
from serving.golden import SmokeSet, Verdict
from serving.invocations import Answer, Invocations, encode


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    passed: bool
    detail: str
    """What was found."""


class SmokeResult(NamedTuple):
    """What a server did."""

    url: str
    """Where it was asked."""
    verdict: Verdict
    """What became of each article."""
    latencies_ms: tuple[float, ...]
    """Of each article's request, in the same order; the first one includes the connection, and waking up."""
    checks: tuple[Check, ...]
    """All that was looked at."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.passed for check in self.checks)


def smoke(
    server: Invocations,
    smoke_set: SmokeSet,
    *,
    expected_version: str | None = None,
    max_latency_ms: float | None = None,
) -> SmokeResult:
    """Ask a server about every article.

    Args:
        server: Who is asked.
        smoke_set: What is asked.
        expected_version: The registered version that should answer; whichever does if not given.
        max_latency_ms: How long the slowest answer may take; however long it does if not given.

    Raises:
        ServiceError: the server gave no answer to one of them.
    """
    answers = run(ask_all(server, [encode(golden.article) for golden in smoke_set.articles]))
    verdict = smoke_set.verdict([record for answer in answers for record in answer.records])
    latencies_ms = tuple(answer.latency_ms for answer in answers)
    versions = sorted(
        {part.strip() for answer in answers for part in (answer.version or "").split(",") if part.strip()}
    )
    checks = (
        check_answers(verdict),
        check_version(versions, expected_version),
        check_latency(latencies_ms, max_latency_ms),
    )
    return SmokeResult(server.url, verdict, latencies_ms, checks)


async def ask_all(server: Invocations, articles: Sequence[bytes]) -> list[Answer]:
    """One answer for each article, and the connections closed."""
    try:
        return [await server.ask([article]) for article in articles]
    finally:
        await server.close()


def check_answers(verdict: Verdict) -> Check:
    """Whether labels and form are right."""
    right = sum(not finding.misses and not finding.faults for finding in verdict.findings)
    return Check("answers", verdict.passed, verdict.problem or f"{right} of {len(verdict.findings)} as expected")


def check_version(versions: Sequence[str], expected: str | None) -> Check:
    """Whether the right version answered, and nobody else."""
    said = f"version {', '.join(versions)}" if versions else "the server does not say which version answers"
    if expected is None:
        return Check("version", True, said)
    return Check("version", list(versions) == [expected], f"{said}; expected {expected}")


def check_latency(latencies_ms: Sequence[float], most_ms: float | None) -> Check:
    """Whether the answers came soon enough."""
    slowest_ms = max(latencies_ms)
    said = f"p50 {median(latencies_ms):,.0f} ms, slowest {slowest_ms:,.0f} ms"
    allowed = "" if most_ms is None else f"; at most {most_ms:,.0f} ms"
    return Check("latency", most_ms is None or slowest_ms <= most_ms, said + allowed)
