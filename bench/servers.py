"""The servers that are measured, each in processes of its own on a free port, and what those processes cost."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from processes import MB, cpu_s, descendants, memory_bytes
from surroundings import ROOT, news_classifier

START_S = 120.0
STOP_S = 30.0
LOOK_EVERY_S = 0.02
ROLES = {"serving.app.worker": "worker", "serving.app.watcher": "watcher"}
FRONT = "front"


class Running(NamedTuple):
    """A server that answers."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    """What it printed."""
    started_s: float
    """How long it took until it could answer."""

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self.process.pid

    def pids(self) -> Mapping[int, str]:
        """All its processes, with what each of them is."""
        found = {}
        for pid in (self.pid, *descendants(self.pid)):
            with suppress(OSError):  # it has just ended
                found[pid] = role_of(pid)
        return found

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(map(cpu_s, self.pids()))

    def cpu_s_by_role(self) -> Mapping[str, float]:
        """The same for each kind of process."""
        return by_role({pid: (role, cpu_s(pid)) for pid, role in self.pids().items()})

    def memory_mb(self) -> Mapping[str, float]:
        """Resident memory of each kind of process; pages that processes share count in each."""
        return by_role({pid: (role, memory_bytes(pid)["VmRSS"] / MB) for pid, role in self.pids().items()})


def role_of(pid: int) -> str:
    """What a process of the server is."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return next((role for module, role in ROLES.items() if module in words), FRONT)


def by_role(values: Mapping[int, tuple[str, float]]) -> dict[str, float]:
    """Values of processes, added up for each role."""
    found: dict[str, float] = {}
    for role, value in values.values():
        found[role] = found.get(role, 0.0) + value
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, ready_path: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[Running]:
    """A server while the context is open. Exits where it does not begin to answer.

    Args:
        command: Starts it.
        port: Which it was told.
        ready_path: Answered with anything but 503 as soon as it can answer.
        folder: Where it runs; what it prints goes to a file there.
        environment: Of the process.
    """
    log = folder / f"server-{port}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
    try:
        while not answers(port, ready_path):
            if process.poll() is not None or time.monotonic() - started > START_S:
                sys.exit(f"{' '.join(command)} does not answer:\n{log.read_text()}")
            time.sleep(LOOK_EVERY_S)
        yield Running(f"http://127.0.0.1:{port}", process, log, time.monotonic() - started)
    finally:
        stop(process)


def answers(port: int, path: str) -> bool:
    """Whether a server answers, and does not say that it cannot yet."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status != http.client.SERVICE_UNAVAILABLE
        except OSError:
            return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)


def app(folder: Path, environment: Mapping[str, str], *options: str) -> AbstractContextManager[Running]:
    """`news-classifier serve app` in a folder with configuration and store."""
    port = free_port()
    command = news_classifier("serve", "app", "--port", str(port), *options)
    return running(command, port, "/ready", folder, environment)


def models_serve(folder: Path, environment: Mapping[str, str]) -> AbstractContextManager[Running]:
    """`mlflow models serve` on the champion of the folder's store, set up by `news-classifier serve local`."""
    port = free_port()
    command = news_classifier("serve", "local", "--port", str(port))
    return running(command, port, "/ping", folder, environment)


def script(folder: Path, environment: Mapping[str, str], name: str, *options: str) -> AbstractContextManager[Running]:
    """One of the servers of this folder, which take the port first."""
    port = free_port()
    command = [sys.executable, str(ROOT / "bench" / name), str(port), *options]
    return running(command, port, "/health", folder, environment)
