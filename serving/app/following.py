"""Keeps what serves as the registry and the shares want it, for as long as the server runs."""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from serving.app.fleet import Fleet, Role
from serving.app.settings import Watch
from serving.app.traffic import TrafficControl
from serving.app.versions import Source, Wanted
from serving.app.watch import RESTART_S, Unreadable, watching

SILENT_S = 60.0
"""How long a look at the registry may take, beyond the time between two."""
log = logging.getLogger(__name__)


class Following:
    """What is wanted, and the fleet that is brought to it.

    Args:
        source: Where versions come from.
        settings: How often to look.
        fleet: Who serves.
        traffic: Whether a challenger is needed.
    """

    def __init__(self, source: Source, settings: Watch, fleet: Fleet, traffic: TrafficControl) -> None:
        self._source = source
        self._settings = settings
        self._fleet = fleet
        self._traffic = traffic
        self._wanted = Wanted(source.fixed)
        self._changed = asyncio.Event()
        self._downloaded: set[Path] = set()
        """Folders of versions that were wanted at some time."""
        self._problem: str | None = None
        self._heard = time.monotonic()

    @property
    def is_blind(self) -> bool:
        """Whether a new champion or challenger would not be noticed."""
        silent_s = time.monotonic() - self._heard
        is_silent = self._source.fixed is None and silent_s > self._settings.every_s + SILENT_S
        return is_silent or self._problem is not None

    def begin(self, downloads: Path) -> list["asyncio.Task[None]"]:
        """Start to follow.

        Args:
            downloads: Folder for the files of versions; has to outlive those who serve.
        """
        work: list[Callable[[], Coroutine[None, None, None]]] = [self._keep]
        if self._source.fixed is None:
            work.append(lambda: self._look(downloads))
        return [asyncio.create_task(without_end(each)) for each in work]

    async def apply_shares(self) -> str | None:
        """Have the challenger there or gone, as the shares need it. Returns why that did not work."""
        if not self._traffic.needs_challenger:
            self._changed.set()  # it gets no articles from now on; its end need not be waited for
            return None
        if self._wanted.challenger is None:
            return self._wanted.unknown or f"{self._source.name} has no challenger."
        return (await self._swap()).get("challenger")

    async def _look(self, downloads: Path) -> None:
        """Take note of what the registry says."""
        source = self._source
        try:
            async with watching(source.name, source.aliases, self._settings, downloads) as found:
                async for news in found:
                    self._heard = time.monotonic()
                    self._take_note(news)
        finally:
            self._problem = "The registry is not looked at."

    def _take_note(self, news: Wanted | Unreadable) -> None:
        before, self._problem = self._problem, str(news) if isinstance(news, Unreadable) else news.unknown
        if self._problem and self._problem != before:
            log.error("What should serve cannot be read; whoever serves goes on. %s", self._problem)
        if isinstance(news, Unreadable):
            return
        if news.unknown:
            news = news._replace(challenger=self._wanted.challenger)
        if news == self._wanted and news.champion:
            return
        if news.champion is None:
            log.error("%s has no %r yet. Make one: news-classifier run.", self._source.name, self._source.aliases[0])
        self._wanted = news
        self._downloaded |= {version.folder for version in news.versions}
        self._changed.set()

    async def _keep(self) -> None:
        """Make what serves what is wanted, whenever that changes, and again where it did not work."""
        while True:
            await self._swap()
            await self._remove_what_was_given_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._settings.every_s)
            self._changed.clear()

    async def _remove_what_was_given_up(self) -> None:
        """Remove the files of versions that are neither wanted nor serve any more."""
        while given_up := self._downloaded - self._needed():  # which may be another set after each removal
            folder = given_up.pop()
            self._downloaded.discard(folder)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _needed(self) -> set[Path]:
        return {version.folder for version in (*self._wanted.versions, *self._fleet.versions)}

    async def _swap(self) -> Mapping[Role, str]:
        return await self._fleet.swap_to(self._wanted, with_challenger=self._traffic.needs_challenger)


async def without_end(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something for as long as the server runs, and again where it failed: without it no new champion is noticed."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("What keeps the versions up to date failed and is started again")
        await asyncio.sleep(RESTART_S)
