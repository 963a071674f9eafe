"""Whether an evaluation keeps what it promises: time, memory, nothing paid twice, the budget, and growth with articles.

    python bench/evaluation.py [--only speed kills budget local] [--rounds 3] [--kills 10] [--large] [--model FOLDER]

Everything measured is the command `news-classifier eval run` in a process of its own, in a folder that is deleted
afterwards, against bench/echo_service.py on loopback, which takes 200 ms for an answer. So n articles at c in flight
take at least ceil(n / c) times that, the bound that times are multiples of. A folder's store is made by an evaluation
of a few articles before. MB are 10^6 bytes.

speed   1,000 articles at 32 in flight: medians of time, maxima of memory over the rounds. Memory is VmHWM of the
        process, looked at every 20 ms. "Before MLflow's own evaluation" is up to the timestamp of the metric
        category_accuracy: the product logs its figures in the step right before. The sum of the process and its
        children (RSS) counts shared pages twice, so that it has no limit.
kills   SIGKILL at moments drawn evenly from the start of an undisturbed evaluation to a quarter beyond its last answer,
        until that many have hit. An evaluation is started again after each, and left alone when all its answers are
        kept; the next begins with no journal. An answer is lost where the service gave it and the journal has not got
        it. Labels and tokens differ by article.
budget  64 in flight, a third of what all answers cost. The invoice is what the service counted, at the listed price.
local   the trained model (--model, by default models/local-sklearn). Growth is processor time an article beyond that
        of 100 articles, as a multiple of the smallest size's.

On a machine that does other work the times say little; the load average stands beside them. Exit code 1 where a limit
is exceeded.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from figures import Figure, measured
from providers import FEW, ROOT, Load, children_cpu_s, echo_service, environment_for, read_statistics
from rich.console import Console

from agent.prices import Usage
from eval.candidates import named_candidate

LATENCY_MS = 200.0
LOAD = Load(1000, 32)
BUDGET_LOAD = Load(1000, 64)
SMALL = 100
"""Articles of a local evaluation whose processor time is taken for start-up."""
SIZES = (10_000, 30_000)
LARGE = 100_000
SAMPLE_EVERY_S = 0.02
NO_SERVICE = "127.0.0.1:9"
PARTIAL = 3
"""Exit code of an evaluation whose budget was spent."""
MB = 1e6
QUALITY = ("category_", "sentiment_", "joint_", "unknown_")

LIMIT_WALL = 1.6
LIMIT_PHASE = 1.05
LIMIT_BEFORE_MB = 300
LIMIT_AFTER_MB = 500
LIMIT_GROWTH = 1.2


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
        shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns(".env"))

    def run(
        self, articles: int, address: str, *options: str, kill_after_s: float = float("inf"), code: int = 0
    ) -> Ended:
        """One evaluation, sampled all along. Exits where it ends otherwise than it should.

        Args:
            articles: So many of the training set, under new ids; from the start again when it has no more.
            address: Of the service.
            options: More options of the command.
            kill_after_s: When it is killed.
            code: What it exits with unless it is killed.
        """
        data = self.folder / f"news-{articles}.jsonl"
        if not data.exists():
            write_articles(data, articles)
        command = [str(Path(sys.executable).with_name("news-classifier")), "eval", "run", "--json", "--data", data.name]
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            before_s, started = children_cpu_s(), time.monotonic()
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
            wall_s, cpu_s = time.monotonic() - started, children_cpu_s() - before_s
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


def write_articles(path: Path, number: int) -> None:
    """So many articles of the training set, under new ids."""
    with (ROOT / "data/training_news.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with path.open("w", encoding="utf-8") as file:
        for n, row in enumerate(islice(cycle(rows), number)):
            file.write(json.dumps({**row, "id": f"bench-{n:06}"}) + "\n")


def sampled(pid: int) -> Iterator[Sample]:
    """The memory of a process, unless it has just ended."""
    with suppress(OSError, KeyError):
        status = memory_bytes(pid)
        tree = sum(memory_bytes(each).get("VmRSS", 0) for each in (pid, *children(pid)))
        yield Sample(time.time(), status["VmHWM"] / MB, tree / MB)


def memory_bytes(pid: int) -> dict[str, int]:
    """The memory figures of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith(" kB")}


def peak_mb(ended: Ended, until_s: float = float("inf")) -> float:
    """The most memory that a process had up to a moment."""
    return max(sample.peak_mb for sample in ended.samples if sample.at_s <= until_s)


def since_1970_s(monotonic_s: float) -> float:
    """A moment on the monotonic clock, which all processes here share."""
    return monotonic_s - time.monotonic() + time.time()


def children(pid: int) -> Iterator[int]:
    """The processes that a process started, and theirs; /proc lists them by the thread that did it."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            yield child
            yield from children(child)


def invoice_usd(statistics: Mapping[str, Any]) -> float:
    """What the service's answers cost."""
    price = named_candidate("openai", None).price
    assert price
    return price.cost_usd(Usage(statistics["input_tokens"], statistics["output_tokens"]))


def quality(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures that say how good answers are."""
    return {name: value for name, value in record["metrics"].items() if name.startswith(QUALITY)}


# The parts.


def measure_speed(folder: Path, rounds: int) -> Iterator[Figure]:
    """Time and memory of an evaluation that nothing disturbs."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(LOAD.in_flight))
    walls, phases, cpu, at_last_answer, before, after, trees = [], [], [], [], [], [], []
    with echo_service(LATENCY_MS) as address:
        place.run(FEW, address)
        for _ in range(rounds):
            place.forget_answers()
            read_statistics(address)
            ended = place.run(LOAD.articles, address)
            seen = read_statistics(address)
            if seen["requests"] != LOAD.articles or seen["peak_in_flight"] > LOAD.in_flight:
                sys.exit(f"Not comparable: {LOAD} was asked for, the service saw {seen}.")
            logged_at_s = place.figures_logged_at_s(ended.record["run_id"])
            walls.append(ended.wall_s)
            phases.append(seen["last_answer_s"] - seen["first_request_s"])
            cpu.append(ended.cpu_s)
            at_last_answer.append(peak_mb(ended, since_1970_s(seen["last_answer_s"])))
            before.append(peak_mb(ended, logged_at_s))
            after.append(peak_mb(ended))
            trees.append(max(sample.tree_mb for sample in ended.samples))
    bound_s = LOAD.bound_s(LATENCY_MS)
    for what, times, limit in (("whole process", walls, LIMIT_WALL), ("request phase", phases, LIMIT_PHASE)):
        beside = f"{median(times):.2f} s of {bound_s:.1f} s; rounds {', '.join(f'{each:.2f}' for each in times)}"
        yield Figure(what, median(times) / bound_s, limit, "x", beside)
    yield Figure("processor time of the process", median(cpu), None, "s")
    beside = f"{max(at_last_answer):.0f} MB of it at the last answer"
    yield Figure("peak memory before MLflow's own evaluation", max(before), LIMIT_BEFORE_MB, "MB", beside)
    yield Figure("peak memory of all", max(after), LIMIT_AFTER_MB, "MB")
    yield Figure("peak memory, children added", max(trees), None, "MB")


def measure_kills(folder: Path, kills: int) -> Iterator[Figure]:
    """What SIGKILL costs, and whether it changes the outcome."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(LOAD.in_flight))
    moments = random.Random(kills)
    with echo_service(LATENCY_MS, "--various") as address:
        place.run(FEW, address)
        place.forget_answers()
        started = time.monotonic()
        undisturbed = place.run(LOAD.articles, address)
        latest_s = 1.25 * (read_statistics(address)["last_answer_s"] - started)
    expected = place.labels(undisturbed.record["run_id"]), quality(undisturbed.record)
    lost: list[int] = []
    asking = evaluations = repeats = other_labels = other_figures = 0
    while len(lost) < kills:
        place.forget_answers()
        with echo_service(LATENCY_MS, "--various") as address:
            while True:
                kept = place.answers_kept()
                disturbed = len(lost) < kills and kept < LOAD.articles
                moment_s = moments.uniform(0, latest_s) if disturbed else float("inf")
                ended = place.run(LOAD.articles, address, kill_after_s=moment_s)
                if ended.returncode != -signal.SIGKILL:
                    break
                time.sleep(2 * LATENCY_MS / 1000)  # until the service has answered whom nobody listens for
                seen = read_statistics(address)
                repeats += seen["repeats"]
                asking += seen["requests"] > 0
                lost.append(seen["requests"] - (place.answers_kept() - kept))
            repeats += read_statistics(address)["repeats"]
        evaluations += 1
        other_labels += place.labels(ended.record["run_id"]) != expected[0]
        other_figures += quality(ended.record) != expected[1]
    differing = len(set(label[1:] for label in expected[0]))
    yield Figure("kills", kills, beside=f"{evaluations} evaluations; {asking} after the first question")
    yield Figure("answers lost in one kill, most", max(lost), LOAD.in_flight, beside=f"all: {sorted(lost)}")
    yield Figure("repeats at the service, a kill", repeats / kills, LOAD.in_flight, beside=f"{repeats} repeats")
    yield Figure("evaluations with other labels", other_labels, 0, beside=f"{differing} different answers")
    yield Figure("evaluations with other quality", other_figures, 0, beside=f"{len(expected[1])} figures each")


def measure_budget(folder: Path) -> Iterator[Figure]:
    """Whether the invoice stays below the budget."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(BUDGET_LOAD.in_flight))
    with echo_service(LATENCY_MS, "--various") as address:
        place.run(BUDGET_LOAD.articles, address)
        max_usd = invoice_usd(read_statistics(address)) / 3
        place.forget_answers()
        ended = place.run(BUDGET_LOAD.articles, address, "--max-usd", str(max_usd), code=PARTIAL)
        seen = read_statistics(address)
    invoice = invoice_usd(seen)
    beside = f"{invoice / max_usd:.1%} of it; {seen['requests']} requests, {seen['peak_in_flight']} in flight at most"
    yield Figure("invoice", invoice, max_usd, "$", beside)
    unsaid = invoice - ended.record["metrics"]["cost_usd"]
    yield Figure("invoice beyond what the run reports", unsaid, 1e-9, "$", str(ended.record["partial"]))


def measure_local(folder: Path, model: Path, sizes: tuple[int, ...]) -> Iterator[Figure]:
    """How the local model's time and memory grow."""
    place = Place(folder, "--provider", "sklearn")
    (folder / "models").mkdir()
    (folder / "models/local-sklearn").symlink_to(model.resolve(strict=True))
    place.run(SMALL, NO_SERVICE)
    start_up_s = place.run(SMALL, NO_SERVICE).cpu_s
    smallest_ms = None
    for size in sizes:
        ended = place.run(size, NO_SERVICE)
        each_ms = 1000 * (ended.cpu_s - start_up_s) / (size - SMALL)
        smallest_ms = smallest_ms or each_ms
        rate = f"{size / ended.wall_s:,.0f} articles/s"
        beside = f"{rate}; processor {ended.cpu_s:.1f} s, {start_up_s:.1f} s of it start-up"
        yield Figure(f"{size:,} articles", ended.wall_s, None, "s", beside)
        yield Figure(f"{size:,} articles, peak memory", peak_mb(ended), LIMIT_AFTER_MB, "MB")
        if size != sizes[0]:
            growth = each_ms / smallest_ms
            beside = f"{each_ms:.2f} ms an article; {sizes[0]:,}: {smallest_ms:.2f} ms"
            yield Figure(f"{size:,} articles, growth", growth, LIMIT_GROWTH, "x", beside)


def main() -> None:
    """Measure, print, and exit with 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=["speed", "kills", "budget", "local"], help="Parts; else all.")
    parser.add_argument("--rounds", type=int, default=3, help="Undisturbed evaluations.")
    parser.add_argument("--kills", type=int, default=10, help="How often an evaluation is killed.")
    parser.add_argument("--large", action="store_true", help="100,000 articles as well.")
    parser.add_argument("--model", type=Path, default=ROOT / "models/local-sklearn", help="Of the local evaluations.")
    options = parser.parse_args()
    sizes = (*SIZES, LARGE) if options.large else SIZES
    parts: dict[str, tuple[str, Callable[[Path], Iterator[Figure]]]] = {
        "speed": ("1,000 articles, 32 in flight, 200 ms", partial(measure_speed, rounds=options.rounds)),
        "kills": ("The same, killed with SIGKILL", partial(measure_kills, kills=options.kills)),
        "budget": ("64 in flight, a third of the money", measure_budget),
        "local": ("The local model", partial(measure_local, model=options.model, sizes=sizes)),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    os.chdir(ROOT)  # candidates are found from here
    if not options.model.is_dir() and "local" in (options.only or parts):
        sys.exit(f"There is no model in {options.model}. Run news-classifier train, or give --model or --only.")
    console = Console(width=150)
    kept = [measured(*parts[name], console) for name in options.only or parts]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
