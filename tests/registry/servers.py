"""A real tracking server, and a real PostgreSQL for it, on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 120
POSTGRES_PROGRAMS = "/usr/lib/postgresql/*/bin"
"""Where Debian has them, beside PATH."""
UNPRIVILEGED = "nobody"
"""Runs PostgreSQL, which refuses to be run by root."""


@contextmanager
def mlflow_server(folder: Path, store_uri: str, workers: int = 1, **environment: str) -> Iterator[str]:
    """The address of a server of a store, which keeps artifacts and log in the folder."""
    port = free_port()
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    stores = ["--backend-store-uri", store_uri, "--artifacts-destination", str(folder / "artifacts")]
    alone = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # without the processes that it starts for its jobs
    log_file = folder / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*words, *stores, "--workers", str(workers)],
            cwd=folder,
            env=os.environ | alone | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log_file)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # and the workers in its group
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when a server answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer. Its log ends: {log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_program(name: str) -> str | None:
    """Path of a program of PostgreSQL, the newest where there are several; None where there is none."""
    pattern = Path(POSTGRES_PROGRAMS)
    found = sorted(Path("/").glob(str(pattern.relative_to("/") / name)), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a new database in an empty folder, whose owner it becomes."""
    initdb, server = postgres_program("initdb"), postgres_program("postgres")
    assert initdb
    assert server
    as_user: Mapping[str, str] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, UNPRIVILEGED)
        as_user = {"user": UNPRIVILEGED}
    data, port = folder / "data", free_port()
    with (folder / "log").open("wb") as log:
        words = [initdb, "-D", str(data), "-U", "mlflow", "-A", "trust", "--no-sync"]
        subprocess.run(words, cwd=folder, stdout=log, stderr=log, check=True, **as_user)
        words = [server, "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "max_connections=300"]
        process = subprocess.Popen([*words], cwd=folder, stdout=log, stderr=log, **as_user)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (data / "postmaster.pid").exists() or "ready" not in (data / "postmaster.pid").read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # its fast shutdown
        process.wait()
