"""The workers of one version: asked in turn, replaced when they die or fall silent."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from agent.errors import NewsClassifierError
from serving.app.process import Loaded, OnAnswers, Worker, WorkerLost
from serving.app.settings import ServingSettings
from serving.app.versions import Version

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before a worker is replaced that ended soon; the first one is replaced at once."""
LONG_LIFE_S = 60.0
"""A worker that lived for so long ended for a reason of its own, and is replaced at once."""
log = logging.getLogger(__name__)


class NoWorker(NewsClassifierError):
    """No worker of a version is there at the moment."""


class Pool:
    """One version, served by several processes.

    Args:
        version: Which.
        size: How many processes.
        settings: How long loading and silence may last, and how many calls a worker may make at once.
        on_restart: Called whenever a worker is replaced.
    """

    def __init__(self, version: Version, size: int, settings: ServingSettings, on_restart: Callable[[], None]) -> None:
        self.version = version
        self.loaded: Loaded
        self._size = size
        self._watch_settings = settings.watch
        self._concurrency = settings.limits.calls_in_flight
        self._on_restart = on_restart
        self._workers: list[Worker] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, begun: Sequence[Worker] = ()) -> None:
        """Start and load all workers.

        Args:
            begun: Processes that have been started already.

        Raises:
            WorkerLost: the version cannot be loaded.
            OSError: there is no process to be had.
        """
        ready = list(begun)
        try:
            while len(ready) < self._size:
                ready.append(await Worker.start())
            found = await asyncio.gather(*(self._load(worker) for worker in ready))
        except BaseException:
            await asyncio.gather(*(worker.close() for worker in ready))
            raise
        self.loaded = found[0]
        self._workers = ready
        work = [*(self._keep(worker) for worker in ready), self._watch()]
        self._tasks = [asyncio.create_task(each) for each in work]

    @property
    def workers(self) -> int:
        """How many can be asked now."""
        return sum(worker.is_alive for worker in self._workers)

    @property
    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [worker.pid for worker in self._workers if worker.is_alive]

    @property
    def is_down(self) -> bool:
        """Whether every worker found its provider down."""
        return bool(self._workers) and all(worker.is_down for worker in self._workers)

    async def ask(self, articles: Sequence[Mapping[str, object]], on_answers: OnAnswers) -> None:
        """Have articles answered by the worker that has the least to do.

        Raises:
            NoWorker: none is there.
            WorkerLost: the worker ended, or could not answer.
        """
        alive = [worker for worker in self._workers if worker.is_alive]
        if not alive:
            raise NoWorker(f"Version {self.version.number} has no worker at the moment.")
        await min(alive, key=lambda worker: worker.in_flight).ask(articles, on_answers)

    async def close(self, patience_s: float = 0.0) -> None:
        """Finish what is in flight if that does not take too long, and end. Closing twice is allowed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        while any(worker.in_flight for worker in self._workers) and loop.time() < end:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _load(self, worker: Worker) -> Loaded:
        return await worker.load(self.version.folder, self._concurrency, self._watch_settings.load_timeout_s)

    async def _keep(self, worker: Worker | None) -> None:
        """Have another worker whenever one ends: at once, then after pauses that grow until one lives long."""
        pause_s = 0.0
        while True:
            if worker and await self._life_s(worker) > LONG_LIFE_S:
                pause_s = 0.0
            log.error("Version %s lacks a worker; another one is started in %g s.", self.version.number, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._on_restart()
            try:
                worker = await self._loaded_worker()
            except (WorkerLost, OSError) as err:  # the latter: no memory or no process to be had now
                log.error("Version %s has no new worker: %s", self.version.number, err)
                worker = None
            else:
                self._workers.append(worker)

    async def _life_s(self, worker: Worker) -> float:
        """Wait until a worker ends. Returns how long that took, in seconds."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await worker.ended.wait()
        self._workers.remove(worker)
        await worker.close()
        return clock() - began

    async def _loaded_worker(self) -> Worker:
        worker = await Worker.start()
        try:
            await self._load(worker)
        except BaseException:
            await worker.close()
            raise
        return worker

    async def _watch(self) -> None:
        """Ask all workers for a sign of life again and again; one that gives none ends, and so is replaced."""
        loop = asyncio.get_running_loop()
        while True:
            for worker in list(self._workers):
                worker.ping()
                if (
                    worker.silent_since is not None
                    and loop.time() - worker.silent_since > self._watch_settings.silent_s
                ):
                    log.error("A worker of version %s gives no sign of life.", self.version.number)
                    worker.kill()
            await asyncio.sleep(self._watch_settings.ping_s)
