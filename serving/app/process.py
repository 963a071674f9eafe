"""A worker process as the server sees it."""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from agent.errors import NewsClassifierError
from serving.app.frames import Frames

Record = Mapping[str, Any]
"""A `Classification` as JSON."""
OnAnswers = Callable[[Sequence[tuple[int, Record]]], None]
"""Given answers, each with the index of its article, as they come."""


class WorkerLost(NewsClassifierError):
    """The process of a version ended, or could not answer."""


class Loaded(NamedTuple):
    """What a worker says about the version that it loaded."""

    provider: str
    model: str
    code: str
    """sha256 of the version's own `agent` package."""


class Asked(NamedTuple):
    """A request in flight."""

    on_answers: OnAnswers
    done: "asyncio.Future[None]"


class Worker:
    """One process, which begins to import what every version needs before it is told which one to load.

    Args:
        process: The process.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asked: dict[int, Asked] = {}
        self._number = 0
        self._ready: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._frames: Frames
        self.is_alive = True
        self.is_down = False
        """Whether the version's provider was down when last heard of."""
        self.silent_since: float | None = None
        """When it was pinged without having answered since, on the loop's clock, in seconds."""
        self.ended = asyncio.Event()
        """Set when the process is gone."""

    @classmethod
    async def start(cls) -> "Worker":
        """Start a process."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "serving.app.worker",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        worker = cls(process)
        loop = asyncio.get_running_loop()
        _, worker._frames = await loop.create_connection(lambda: Frames(worker._receive, worker._end), sock=ours)
        return worker

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet."""
        return len(self._asked)

    async def load(self, folder: Path, concurrency: int, timeout_s: float) -> Loaded:
        """Load the version in a folder.

        Args:
            folder: Of the logged model.
            concurrency: Calls to its provider at once.
            timeout_s: How long that may take, in seconds.

        Raises:
            WorkerLost: it cannot be loaded, or not in time.
        """
        self._frames.send(to_json({"load": str(folder), "concurrency": concurrency}))
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), timeout_s)
        except TimeoutError as err:
            raise WorkerLost(f"{folder} was not loaded within {timeout_s:g} s.") from err

    async def ask(self, articles: Sequence[Mapping[str, object]], on_answers: OnAnswers) -> None:
        """Have articles answered; who is cancelled while waiting calls off the rest.

        Raises:
            WorkerLost: the process ended, or could not answer.
        """
        if not self.is_alive:
            raise WorkerLost("The worker has ended.")
        self._number = number = self._number + 1
        done = asyncio.get_running_loop().create_future()
        self._asked[number] = Asked(on_answers, done)
        self._frames.send(to_json({"id": number, "articles": articles}))
        try:
            await done
        finally:
            if self._asked.pop(number, None):
                self._frames.send(to_json({"cancel": number}))

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.silent_since is None:
            self.silent_since = asyncio.get_running_loop().time()
        self._frames.send(b'{"ping":true}')

    def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """End the process, which keeps nothing that could be lost, and wait until it is gone. Twice is allowed."""
        self.is_alive = False
        self._frames.close()
        self.kill()
        await self._process.wait()

    def _receive(self, frame: bytes) -> None:
        message = from_json(frame)
        self.silent_since = None
        if "answers" in message:
            asked = self._asked.get(message["id"])
            if asked is None:  # called off meanwhile
                return
            if message["answers"]:
                asked.on_answers(message["answers"])
            if message["end"]:
                self._settle(message["id"])
        elif "id" in message:
            self._settle(message["id"], WorkerLost(f"The version could not answer ({message['failed']})."))
        elif "pong" in message:
            self.is_down = message["down"]
        elif "ready" in message:
            self._ready.set_result(Loaded(**message["ready"]))
        else:
            self._ready.set_exception(WorkerLost(f"The version cannot be loaded: {message['failed']}."))

    def _settle(self, number: int, error: WorkerLost | None = None) -> None:
        asked = self._asked.pop(number, None)
        if asked and not asked.done.done():
            if error:
                asked.done.set_exception(error)
            else:
                asked.done.set_result(None)

    def _end(self) -> None:
        self.is_alive = False
        if not self._ready.done():
            self._ready.set_exception(WorkerLost("The worker ended before the version was loaded."))
            self._ready.exception()  # nobody may be waiting for it
        for number in list(self._asked):
            self._settle(number, WorkerLost("The worker ended before it answered."))
        self.ended.set()
