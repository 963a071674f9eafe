"""Which version answers which article, and when the challenger's share is taken away."""

import logging
from collections import deque
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from agent.errors import ConfigError
from agent.records import Article
from serving.app.settings import Halt, Traffic

TRAFFIC_FILE = "traffic.json"
HASH_DIGITS = 8
HASHES = 16.0**HASH_DIGITS
JUDGED_EVERY = 10
"""Answers of the challenger between two judgements."""
log = logging.getLogger(__name__)


class Shares(Traffic):
    """Who answers now; what the settings say until somebody, or a halt, changes it."""

    halted: str | None = None
    """Why the challenger's share was taken away."""


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
        self.version = ""
        self._seen: deque[Seen] = deque(maxlen=answers)

    def add(self, version: str, seen: Seen) -> None:
        """Take note of an answer; those of another version are forgotten."""
        if version != self.version:
            self.version = version
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


class TrafficControl:
    """The shares of one server.

    Args:
        settings: The shares to begin with.
        halt: When the challenger's is taken away.
        folder: The state folder, where changed shares are kept.

    Raises:
        ConfigError: the kept shares cannot be read.
    """

    def __init__(self, settings: Traffic, halt: Halt, folder: Path) -> None:
        self._halt = halt
        self._file = folder / TRAFFIC_FILE
        self._champion, self._challenger = Window(halt.answers), Window(halt.answers)
        self._until_judged = JUDGED_EVERY
        self.shares = self._kept() or Shares(**settings.model_dump())

    @property
    def needs_challenger(self) -> bool:
        """Whether a challenger has anything to do."""
        return bool(self.shares.challenger_percent or self.shares.shadow_percent)

    def change(self, shares: Shares) -> None:
        """Let these shares hold from now on, and after a restart where the disk takes them."""
        self.shares = shares
        self._challenger = Window(self._halt.answers)
        part = self._file.with_suffix(".part")
        try:
            part.write_text(shares.model_dump_json(), encoding="utf-8")
            part.replace(self._file)
        except OSError as err:
            log.error("%s cannot be written; the shares hold until a restart: %s", self._file, err)

    def is_challengers(self, article: Article) -> bool:
        """Whether the challenger answers this article; the same text has the same answer while the share stays."""
        return place_of(article, 0) < self.shares.challenger_percent

    def is_shadowed(self, article: Article) -> bool:
        """Whether the challenger is asked about this article of the champion's, too."""
        return place_of(article, HASH_DIGITS) < self.shares.shadow_percent

    def record(self, version: str, seen: Seen, *, is_challenger: bool) -> None:
        """Take note of an answer, and take the challenger's share away if it is too bad."""
        if not is_challenger:
            self._champion.add(version, seen)
            return
        self._challenger.add(version, seen)
        self._until_judged -= 1
        if self._until_judged <= 0:
            self._until_judged = JUDGED_EVERY
            if self.shares.challenger_percent and (reason := self.too_bad()):
                self._take_away(reason)

    def too_bad(self) -> str | None:
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

    def _take_away(self, reason: str) -> None:
        text = f"version {self._challenger.version}: {reason}"
        log.error("The challenger's share is taken away: %s", text)
        self.change(self.shares.model_copy(update={"challenger_percent": 0, "halted": text}))

    def _kept(self) -> Shares | None:
        try:
            return Shares.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as err:
            raise ConfigError(f"{self._file} cannot be read: {err}. Remove it; shares begin as configured.") from err


def place_of(article: Article, start: int) -> float:
    """A number from 0 up to 100 that belongs to the article's text: digits of its hash from `start` on."""
    return 100 * int(article.hash[start : start + HASH_DIGITS], 16) / HASHES
