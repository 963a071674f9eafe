"""Racers: threads of several processes that all want one decision, and start behind one barrier."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier
from typing import Literal, NamedTuple

from mlflow.tracking import MlflowClient

from agent.settings import read_settings
from eval.store import open_store
from registry.gates.config import GatesConfig
from registry.history import Entry, History
from registry.ledger import Ledger, Overtaken
from registry.moves import Decision, decide
from registry.promotion import Consent, Promoter, Refused, Review
from registry.rollback import rollback
from registry.versions import Registry
from tests.registry.evaluations import unexpected

MODEL = "news_classifier"
GATES = read_settings(Path(__file__).parents[2] / "config" / "gates.yaml", GatesConfig)
SPAWN = multiprocessing.get_context("spawn")
START_TIMEOUT_S = 240


class Wanted(NamedTuple):
    """What all racers want."""

    act: Literal["begin", "promote", "rollback"]
    """Write the first entry of a history, promote what was reviewed, go back to a version."""
    of: str = ""
    """The review as JSON, or the version's number."""


class Attempt(NamedTuple):
    """What became of it for one of them."""

    by: str
    end: Literal["won", "lost", "failed"]
    said: str
    seconds: float
    """Since the barrier."""


class Racers:
    """Processes with threads that are ready to race. Use `racers` to make them."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def race(self, wanted: Wanted) -> list[Attempt]:
        """Let all of them want the same at once."""
        for pipe in self._pipes:
            pipe.send(wanted)
        return [attempt for pipe in self._pipes for attempt in pipe.recv()]


@contextmanager
def racers(processes: int, threads: int) -> Iterator[Racers]:
    """So many racers in the store of the environment, with their imports behind them."""
    barrier = SPAWN.Barrier(processes * threads)
    pipes, running = [], []
    for number in range(processes):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=run, args=(theirs, barrier, number, threads), daemon=True)
        process.start()
        pipes.append(ours)
        running.append(process)
    try:
        for pipe in pipes:
            assert pipe.poll(START_TIMEOUT_S), "a racer did not start"
            pipe.recv()
        yield Racers(pipes)
    finally:
        for process in running:
            process.kill()
            process.join()


def run(pipe: Connection, barrier: Barrier, number: int, threads: int) -> None:
    """One process of racers: for everything that is wanted, the attempts of its threads."""
    open_store()
    with ThreadPoolExecutor(threads) as pool:
        pipe.send("ready")
        while True:
            wanted = pipe.recv()
            names = [f"racer-{number}-{thread}" for thread in range(threads)]
            pipe.send(list(pool.map(lambda by, wanted=wanted: attempt(wanted, by, barrier), names)))


def attempt(wanted: Wanted, by: str, barrier: Barrier) -> Attempt:
    """Try to get what is wanted, as soon as everybody is ready."""
    client = MlflowClient()
    barrier.wait(START_TIMEOUT_S)
    started = time.monotonic()
    try:
        entry = act(wanted, by, client)
        end, said = "won", str(entry)
    except (Overtaken, Refused) as err:
        end, said = "lost", str(err)
    except Exception as err:
        end, said = "failed", f"{type(err).__name__}: {err}"
    return Attempt(by, end, said, time.monotonic() - started)


def act(wanted: Wanted, by: str, client: MlflowClient) -> Entry:
    """What one racer does."""
    if wanted.act == "begin":
        first = Decision("register", None, by, "automatic", "the first entry", {})
        return decide(Registry(MODEL, client), Ledger(MODEL, client), History(), {}, first)
    if wanted.act == "promote":
        review = Review.model_validate_json(wanted.of)
        return Promoter(client, GATES, unexpected).promote(review, Consent(by, "hash", "the better one"))
    return rollback(client, Consent(by, "terminal", "it is wrong"), wanted.of)


class StopsBeforeItMoves(MlflowClient):
    """Stops its own process, as SIGSTOP does, before the first alias that it sets."""

    is_stopped = False

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        super().set_registered_model_alias(name, alias, version)


def promote_and_stop(review: str, by: str) -> None:
    """Promote, and be stopped between the decision and its moves."""
    open_store()
    consent = Consent(by, "hash", "the better one")
    Promoter(StopsBeforeItMoves(), GATES, unexpected).promote(Review.model_validate_json(review), consent)


@contextmanager
def stopped_promotion(review: Review, by: str) -> Iterator[BaseProcess]:
    """A process that has decided on a promotion and is stopped before it moved an alias."""
    process = SPAWN.Process(target=promote_and_stop, args=(review.model_dump_json(), by), daemon=True)
    process.start()
    try:
        while process.is_alive() and state_of(process) != "T":
            time.sleep(0.05)
        assert process.is_alive(), "it came to its end"
        yield process
    finally:
        process.kill()
        process.join()


def wake(process: BaseProcess) -> None:
    """Let a stopped process go on, to its end."""
    assert process.pid
    os.kill(process.pid, signal.SIGCONT)
    process.join()


def state_of(process: BaseProcess) -> str:
    """The letter that Linux has for the state of a process; T is stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
