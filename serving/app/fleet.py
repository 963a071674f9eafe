"""Which version serves in which role, and how a new one takes over without a gap."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from agent.errors import NewsClassifierError
from agent.records import Classification
from serving.app.metrics import Metrics
from serving.app.pool import Pool
from serving.app.process import Record, Worker
from serving.app.settings import ServingSettings
from serving.app.versions import Version, Wanted
from serving.golden import SmokeSet

Role = Literal["champion", "challenger"]
ROLES: tuple[Role, ...] = ("champion", "challenger")
LINGER_S = 1.0
"""Between the moment that a version is replaced and the one that it ends."""
log = logging.getLogger(__name__)


class SmokeFailed(NewsClassifierError):
    """A new version does not answer the smoke set as it should."""


class Fleet:
    """The pools of one server.

    Args:
        size: Workers of each version.
        settings: Of the server.
        smoke: What a version has to answer before it serves.
        metrics: Where it is counted.
    """

    def __init__(self, size: int, settings: ServingSettings, smoke: SmokeSet, metrics: Metrics) -> None:
        self._size = size
        self._settings = settings
        self._smoke = smoke
        self._metrics = metrics
        self._pools: dict[Role, Pool] = {}
        self._begun: list[Worker] = []
        self._retry_at: dict[Path, float] = {}
        """When a version that failed may be tried again, on the loop's clock; by its folder, because files that were
        fetched again are another matter."""
        self._turn = asyncio.Lock()
        self._ending: dict[Pool, asyncio.Task[None]] = {}
        """Replaced, and still finishing what they have in flight."""

    def pool(self, role: Role) -> Pool | None:
        """Who serves in a role."""
        return self._pools.get(role)

    @property
    def versions(self) -> list[Version]:
        """All that have workers, also those that only finish what they have in flight."""
        return [pool.version for pool in (*self._pools.values(), *self._ending)]

    async def begin(self) -> None:
        """Start the processes of the first version before it is known which one that is."""
        self._begun = [await Worker.start() for _ in range(self._size)]

    async def swap_to(self, wanted: Wanted, *, with_challenger: bool) -> dict[Role, str]:
        """Have the wanted versions serve; whoever serves goes on until the next one has shown that it can.

        Returns: Why not, for each role where that did not work.
        """
        async with self._turn:
            problems: dict[Role, str] = {}
            if wanted.champion:
                await self._fill("champion", wanted.champion, problems)
            if wanted.challenger and with_challenger:
                await self._fill("challenger", wanted.challenger, problems)
            else:
                self._metrics.swap_failing.labels("challenger").set(0)  # nobody asks for the one that failed any more
                if pool := self._pools.pop("challenger", None):
                    self._retire("challenger", pool)
            return problems

    async def close(self) -> None:
        """End all processes at once."""
        async with self._turn:
            for task in self._ending.values():
                task.cancel()
            pools = {*self._pools.values(), *self._ending}
            self._pools = {}
            await asyncio.gather(*(pool.close() for pool in pools), *(worker.close() for worker in self._begun))

    async def _fill(self, role: Role, version: Version, problems: dict[Role, str]) -> None:
        """Let a version serve in a role, if it can and does not already."""
        current = self._pools.get(role)
        if current and current.version.number == version.number:
            self._metrics.swap_failing.labels(role).set(0)  # also where the alias points back from one that failed
            return
        now = asyncio.get_running_loop().time()
        if now < self._retry_at.get(version.folder, 0):
            problems[role] = f"Version {version.number} failed and is tried again later."
            return
        try:
            pool = await self._pool_of(version)
        except (NewsClassifierError, OSError) as err:  # the latter: no memory or no process to be had now
            self._retry_at[version.folder] = asyncio.get_running_loop().time() + self._settings.watch.retry_s
            problems[role] = f"Version {version.number} does not serve: {err}"
            log.error("%s %s", role, problems[role])
            self._metrics.swaps.labels(role, "failed").inc()
            self._metrics.swap_failing.labels(role).set(1)
            return
        self._pools[role] = pool
        if role == "champion":
            # one that was the challenger until now has another alias, but the files that it has loaded
            pool.version = version._replace(folder=pool.version.folder)
        if self._pools.get("challenger") is pool and role == "champion":
            del self._pools["challenger"]  # it was promoted
            self._metrics.serving.labels("challenger", version.number).set(0)
        log.warning("Version %s serves as %s.", version.number, role)
        self._metrics.swaps.labels(role, "done").inc()
        self._metrics.swap_failing.labels(role).set(0)
        self._metrics.serving.labels(role, version.number).set(1)
        if current:
            self._retire(role, current)

    async def _pool_of(self, version: Version) -> Pool:
        """A pool of a version that has answered the smoke set: the challenger's own where it is the same version.

        Raises:
            NewsClassifierError: it cannot be loaded, or does not answer as it should.
        """
        known = next((pool for pool in self._pools.values() if pool.version.number == version.number), None)
        begun, self._begun = ([], self._begun) if known else (self._begun, [])
        pool = known or Pool(version, self._size, self._settings, self._metrics.restarts.inc)
        if not known:
            await pool.start(begun)
        try:
            await self._check(pool)
        except BaseException:
            if not known:
                await pool.close()
            raise
        return pool

    async def _check(self, pool: Pool) -> None:
        """Ask the smoke set. Raises SmokeFailed."""
        articles = [golden.article for golden in self._smoke.articles]
        found: dict[int, Record] = {}

        def keep(answers: Sequence[tuple[int, Record]]) -> None:
            found.update(answers)

        try:
            async with asyncio.timeout(self._settings.watch.load_timeout_s):
                await pool.ask([article.model_dump() for article in articles], keep)
            records = [Classification.model_validate(found[index]) for index in range(len(articles))]
        except (TimeoutError, ValidationError, KeyError) as err:
            raise SmokeFailed(f"The smoke set got no proper answers ({type(err).__name__}).") from err
        verdict = self._smoke.verdict(records)
        if verdict.problem:
            raise SmokeFailed(f"The smoke set says no: {verdict.problem}.")

    def _retire(self, role: Role, pool: Pool) -> None:
        """End a pool in the background, after what it has in flight or was just about to be asked."""
        self._metrics.serving.labels(role, pool.version.number).set(0)
        if pool in self._pools.values():
            return

        async def end() -> None:
            await asyncio.sleep(LINGER_S)
            await pool.close(self._settings.limits.request_timeout_s)
            del self._ending[pool]

        self._ending[pool] = asyncio.create_task(end())
