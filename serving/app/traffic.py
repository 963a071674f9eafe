"""Which version answers which article."""

import logging
from pathlib import Path

from pydantic import ValidationError

from agent.errors import ConfigError
from agent.records import Article
from serving.app.halt import Judge, Seen
from serving.app.settings import Halt, Traffic

TRAFFIC_FILE = "traffic.json"
HASH_DIGITS = 8
HASHES = 16.0**HASH_DIGITS
log = logging.getLogger(__name__)


class Shares(Traffic):
    """Who answers now; what the settings say until somebody, or a halt, changes it."""

    halted: str | None = None
    """Why the challenger's share was taken away."""


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
        self._file = folder / TRAFFIC_FILE
        self._judge = Judge(halt)
        self.shares = self._kept() or Shares(**settings.model_dump())

    @property
    def needs_challenger(self) -> bool:
        """Whether a challenger has anything to do."""
        return bool(self.shares.challenger_percent or self.shares.shadow_percent)

    def change(self, shares: Shares) -> None:
        """Let these shares hold from now on, and after a restart where the disk takes them."""
        self.shares = shares
        self._judge.forget_challenger()
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
        reason = self._judge.record(version, seen, is_challenger=is_challenger)
        if reason and self.shares.challenger_percent:
            self._take_away(f"version {version}: {reason}")

    def _take_away(self, reason: str) -> None:
        log.error("The challenger's share is taken away: %s", reason)
        self.change(self.shares.model_copy(update={"challenger_percent": 0, "halted": reason}))

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
