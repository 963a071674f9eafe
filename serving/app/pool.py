"""The workers of one version: asked in turn, replaced when they die or fall silent."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.errors import NewsClassifierError
from serving.app.process import Loaded, OnAnswers, Worker, WorkerLost
from serving.app.settings import ServingSettings
from serving.app.versions import Version

LONGEST_PAUSE_S = 30.0
"""Between attempts to replace a worker."""
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
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False

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
        for worker in ready:
            self._take_in(worker)
        self._do(self._watch())

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

    async def close(self, patience_s: float) -> None:
        """Take no more articles, finish what is in flight, and end. Closing twice is allowed."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        while any(worker.in_flight for worker in self._workers) and loop.time() < end:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _load(self, worker: Worker) -> Loaded:
        return await worker.load(self.version.folder, self._concurrency, self._watch_settings.load_timeout_s)

    def _take_in(self, worker: Worker) -> None:
        worker.on_end = lambda: self._replace(worker)
        self._workers.append(worker)
        if not worker.is_alive:  # it ended while others were still loading
            self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        if self._is_closing or worker not in self._workers:
            return
        self._workers.remove(worker)
        log.error("A worker of version %s ended and is replaced.", self.version.number)
        self._do(worker.close())
        self._do(self._start_another())

    async def _start_another(self) -> None:
        pause_s = 0.5
        while True:
            self._on_restart()
            try:
                self._take_in(await self._loaded_worker())
                return
            except (WorkerLost, OSError) as err:  # the latter: no memory or no process to be had now
                log.error("Version %s has no new worker: %s", self.version.number, err)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

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

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
