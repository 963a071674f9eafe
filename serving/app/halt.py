"""When the challenger's share is taken away: what the last answers of both versions say about it."""

from collections import deque
from typing import NamedTuple

from serving.app.settings import Halt

JUDGED_EVERY = 10
"""Answers of the challenger between two judgements."""


class Seen(NamedTuple):
    """One answer of a version."""

    is_error: bool
    latency_ms: float
    cost_usd: float


class Window:
    """The last answers of one version.

    Args:
        answers: How many.
    """

    def __init__(self, answers: int) -> None:
        self._version = ""
        self._seen: deque[Seen] = deque(maxlen=answers)

    def add(self, version: str, seen: Seen) -> None:
        """Take note of an answer; those of another version are forgotten."""
        if version != self._version:
            self._version = version
            self._seen.clear()
        self._seen.append(seen)

    def __len__(self) -> int:
        """How many answers are known."""
        return len(self._seen)

    @property
    def error_rate(self) -> float:
        """Share of the answers that are errors."""
        return sum(seen.is_error for seen in self._seen) / len(self._seen) if self._seen else 0.0

    @property
    def latency_ms_p95(self) -> float:
        """The latency that 95 % of the answers keep, in milliseconds."""
        ordered = sorted(seen.latency_ms for seen in self._seen)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0

    @property
    def usd_per_1k(self) -> float:
        """Cost of 1,000 articles, in US dollars."""
        return 1000 * sum(seen.cost_usd for seen in self._seen) / len(self._seen) if self._seen else 0.0


class Judge:
    """Compares the challenger's last answers with the champion's.

    Args:
        halt: How bad the challenger may be.
    """

    def __init__(self, halt: Halt) -> None:
        self._halt = halt
        self._champion, self._challenger = Window(halt.answers), Window(halt.answers)
        self._until_judged = JUDGED_EVERY

    def record(self, version: str, seen: Seen, *, is_challenger: bool) -> str | None:
        """Take note of an answer. Returns why the challenger is too bad, which is judged now and then."""
        if not is_challenger:
            self._champion.add(version, seen)
            return None
        self._challenger.add(version, seen)
        self._until_judged -= 1
        if self._until_judged > 0:
            return None
        self._until_judged = JUDGED_EVERY
        return self._too_bad()

    def forget_challenger(self) -> None:
        """Judge the challenger by what comes from now on."""
        self._challenger = Window(self._halt.answers)

    def _too_bad(self) -> str | None:
        """Why the challenger should get no articles, or None."""
        halt, champion, challenger = self._halt, self._champion, self._challenger
        if len(challenger) < halt.min_answers:
            return None
        if challenger.error_rate > champion.error_rate + halt.max_error_rate:
            return f"error rate {challenger.error_rate:.3f} against {champion.error_rate:.3f} of the champion"
        slowest_ms = halt.max_latency_ms
        if len(champion) >= halt.min_answers:
            slowest_ms = min(slowest_ms, champion.latency_ms_p95 * halt.max_latency_ratio)
        if challenger.latency_ms_p95 > slowest_ms:
            return f"latency p95 {challenger.latency_ms_p95:.0f} ms, at most {slowest_ms:.0f}"
        dearest = [limit for limit in (halt.max_usd_per_1k, self._dearest_usd_per_1k()) if limit is not None]
        if dearest and challenger.usd_per_1k > min(dearest):
            return f"cost of 1,000 articles ${challenger.usd_per_1k:.4f}, at most {min(dearest):.4f}"
        return None

    def _dearest_usd_per_1k(self) -> float | None:
        """What 1,000 articles may cost, seen from the champion; None where it is free or too little is known."""
        ratio = self._halt.max_cost_ratio
        if ratio is None or len(self._champion) < self._halt.min_answers or not self._champion.usd_per_1k:
            return None
        return self._champion.usd_per_1k * ratio
