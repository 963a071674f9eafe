"""Runs of `news-classifier eval run`, each a process that is watched: its time, its memory, and what it left behind."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from processes import MB, descendants, ended_children_cpu_s, memory_bytes
from surroundings import copy_configuration, environment_for, news_classifier, write_articles

FEW = 10
"""Articles of an evaluation that makes what is made once, or whose cost is taken for start-up."""
SAMPLE_EVERY_S = 0.02


class Sample(NamedTuple):
    """The memory of a process at one moment."""

    at_s: float
    """Since 1970."""
    peak_mb: float
    """Of the process, up to now."""
    tree_mb: float
    """Of the process and its children, now."""


class Ended(NamedTuple):
    """A process that has ended, by itself or killed."""

    returncode: int
    wall_s: float
    cpu_s: float
    samples: list[Sample]
    stdout: str
    stderr: str

    @property
    def record(self) -> dict[str, Any]:
        """What the command printed: the evaluation."""
        record: dict[str, Any] = json.loads(self.stdout)
        return record


class Place:
    """A folder with configuration, articles and store, in which evaluations are run.

    Args:
        folder: An empty one.
        options: What all evaluations here are given besides the articles.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        copy_configuration(folder)

    def articles(self, number: int) -> Path:
        """A file with so many of the training set, under new ids."""
        path = self.folder / f"news-{number}.jsonl"
        if not path.exists():
            write_articles(path, number)
        return path

    def run(
        self, articles: int, address: str, *options: str, kill_after_s: float = float("inf"), code: int = 0
    ) -> Ended:
        """One evaluation, sampled all along. Exits where it ends otherwise than it should.

        Args:
            articles: How many.
            address: Of the service.
            options: More options of the command.
            kill_after_s: When it is killed.
            code: What it exits with unless it is killed.
        """
        command = news_classifier("eval", "run", "--json", "--data", self.articles(articles).name)
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            before_s, started = ended_children_cpu_s(), time.monotonic()
            process = subprocess.Popen(
                [*command, *self.options, *options],
                cwd=self.folder,
                env=environment_for(address),
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            samples: list[Sample] = []
            try:
                while process.poll() is None and time.monotonic() - started < kill_after_s:
                    samples += sampled(process.pid)
                    time.sleep(SAMPLE_EVERY_S)
            finally:
                with suppress(ProcessLookupError):  # it has ended, and so have its children
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            wall_s, cpu_s = time.monotonic() - started, ended_children_cpu_s() - before_s
            texts = [(file.seek(0), file.read())[1] for file in (stdout, stderr)]
        if process.returncode not in ({code} if kill_after_s == float("inf") else {code, -signal.SIGKILL}):
            sys.exit(f"{' '.join(process.args)} ended with {process.returncode}:\n{texts[1]}")  # type: ignore[arg-type]
        return Ended(process.returncode, wall_s, cpu_s, samples, *texts)

    def forget_answers(self) -> None:
        """Delete the journal."""
        for path in self.folder.glob("journal.db*"):
            path.unlink()

    def answers_kept(self) -> int:
        """How many answers the journal has."""
        journal = self.folder / "journal.db"
        if not journal.exists():
            return 0
        with closing(sqlite3.connect(journal)) as connection, suppress(sqlite3.OperationalError):  # no table yet
            return int(connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
        return 0

    def figures_logged_at_s(self, run_id: str) -> float:
        """When a run's own figures were logged, in seconds since 1970."""
        query = "SELECT MIN(timestamp) FROM metrics WHERE run_uuid = ? AND key = 'category_accuracy'"
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as connection:
            return float(connection.execute(query, (run_id,)).fetchone()[0]) / 1000

    def labels(self, run_id: str) -> list[tuple[str, ...]]:
        """Id and predicted labels of each article, from a run's files."""
        [path] = self.folder.glob(f"mlruns/*/{run_id}/artifacts/predictions.csv")
        with path.open(encoding="utf-8", newline="") as file:
            return [(row["id"], row["predicted_category"], row["predicted_sentiment"]) for row in csv.DictReader(file)]


def sampled(pid: int) -> Iterator[Sample]:
    """The memory of a process, unless it has just ended."""
    with suppress(OSError, KeyError):
        status = memory_bytes(pid)
        tree = sum(memory_bytes(each).get("VmRSS", 0) for each in (pid, *descendants(pid)))
        yield Sample(time.time(), status["VmHWM"] / MB, tree / MB)


def peak_mb(ended: Ended, until_s: float = float("inf")) -> float:
    """The most memory that a process had up to a moment."""
    return max(sample.peak_mb for sample in ended.samples if sample.at_s <= until_s)


def since_1970_s(monotonic_s: float) -> float:
    """A moment on the monotonic clock, which all processes here share."""
    return monotonic_s - time.monotonic() + time.time()
