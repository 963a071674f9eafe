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
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from evaluation_runs import FEW, Ended, Place, peak_mb, since_1970_s
from figures import Figure, Part, measure_parts
from stand_in import Counted, Load, counted, counted_for, echo_service
from surroundings import LOCAL_MODEL, NO_SERVICE, ROOT

from agent.prices import Usage
from eval.candidates import named_candidate

LATENCY_MS = 200.0
LOAD = Load(1000, 32)
BUDGET_LOAD = Load(1000, 64)
SMALL = 100
"""Articles of a local evaluation whose processor time is taken for start-up."""
SIZES = (10_000, 30_000)
LARGE = 100_000
PARTIAL = 3
"""Exit code of an evaluation whose budget was spent."""
QUALITY = ("category_", "sentiment_", "joint_", "unknown_")

LIMIT_WALL = 1.6
LIMIT_PHASE = 1.05
LIMIT_BEFORE_MB = 300
LIMIT_AFTER_MB = 500
LIMIT_GROWTH = 1.2


class Undisturbed(NamedTuple):
    """What an evaluation took that nothing disturbed."""

    wall_s: float
    phase_s: float
    cpu_s: float
    mb_at_last_answer: float
    mb_before_mlflow: float
    """Peak up to MLflow's own evaluation."""
    mb: float
    mb_with_children: float


def undisturbed(place: Place, address: str) -> Undisturbed:
    """Run an evaluation with no answer kept."""
    place.forget_answers()
    counted(address)
    ended = place.run(LOAD.articles, address)
    seen = counted_for(LOAD, address)
    return Undisturbed(
        ended.wall_s,
        seen.phase_s,
        ended.cpu_s,
        peak_mb(ended, since_1970_s(seen.last_answer_s)),
        peak_mb(ended, place.figures_logged_at_s(ended.record["run_id"])),
        peak_mb(ended),
        max(sample.tree_mb for sample in ended.samples),
    )


def measure_speed(folder: Path, rounds: int) -> Iterator[Figure]:
    """Time and memory of an evaluation that nothing disturbs."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(LOAD.in_flight))
    with echo_service(LATENCY_MS) as address:
        place.run(FEW, address)
        found = [undisturbed(place, address) for _ in range(rounds)]
    bound_s = LOAD.bound_s(LATENCY_MS)
    for what, times, limit in (
        ("whole process", [each.wall_s for each in found], LIMIT_WALL),
        ("request phase", [each.phase_s for each in found], LIMIT_PHASE),
    ):
        beside = f"{median(times):.2f} s of {bound_s:.1f} s; rounds {', '.join(f'{each:.2f}' for each in times)}"
        yield Figure(what, median(times) / bound_s, limit, "x", beside)
    yield Figure("processor time of the process", median(each.cpu_s for each in found), None, "s")
    beside = f"{max(each.mb_at_last_answer for each in found):.0f} MB of it at the last answer"
    before_mb = max(each.mb_before_mlflow for each in found)
    yield Figure("peak memory before MLflow's own evaluation", before_mb, LIMIT_BEFORE_MB, "MB", beside)
    yield Figure("peak memory of all", max(each.mb for each in found), LIMIT_AFTER_MB, "MB")
    yield Figure("peak memory, children added", max(each.mb_with_children for each in found), None, "MB")


class Outcome(NamedTuple):
    """What an evaluation found."""

    labels: Sequence[tuple[str, ...]]
    quality: Mapping[str, float]
    """The figures that say how good answers are."""


def outcome_of(place: Place, ended: Ended) -> Outcome:
    """What an evaluation found that was not killed."""
    figures = ended.record["metrics"]
    quality = {name: value for name, value in figures.items() if name.startswith(QUALITY)}
    return Outcome(place.labels(ended.record["run_id"]), quality)


class Survived(NamedTuple):
    """An evaluation that was killed, and started again until it came to its end."""

    lost: Sequence[int]
    """Of each kill: answers that the service gave and the journal has not got."""
    asking: int
    """Kills after which the service had been asked something new."""
    repeats: int
    """Answers that were paid twice."""
    outcome: Outcome


def survived(place: Place, most_kills: int, draw_moment_s: Callable[[], float]) -> Survived:
    """Kill an evaluation that begins with no answer kept, again and again until all answers are."""
    lost: list[int] = []
    asking = repeats = 0
    place.forget_answers()
    with echo_service(LATENCY_MS, "--various") as address:
        while True:
            kept = place.answers_kept()
            disturbed = len(lost) < most_kills and kept < LOAD.articles
            ended = place.run(LOAD.articles, address, kill_after_s=draw_moment_s() if disturbed else float("inf"))
            if ended.returncode != -signal.SIGKILL:
                break
            time.sleep(2 * LATENCY_MS / 1000)  # until the service has answered whom nobody listens for
            seen = counted(address)
            repeats += seen.repeats
            asking += seen.requests > 0
            lost.append(seen.requests - (place.answers_kept() - kept))
        repeats += counted(address).repeats
    return Survived(lost, asking, repeats, outcome_of(place, ended))


def measure_kills(folder: Path, kills: int) -> Iterator[Figure]:
    """What SIGKILL costs, and whether it changes the outcome."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(LOAD.in_flight))
    moments = random.Random(kills)
    with echo_service(LATENCY_MS, "--various") as address:
        place.run(FEW, address)
        place.forget_answers()
        started = time.monotonic()
        expected = outcome_of(place, place.run(LOAD.articles, address))
        latest_s = 1.25 * (counted(address).last_answer_s - started)
    found: list[Survived] = []
    lost: list[int] = []
    while len(lost) < kills:
        found.append(survived(place, kills - len(lost), lambda: moments.uniform(0, latest_s)))
        lost += found[-1].lost
    asking, repeats = sum(each.asking for each in found), sum(each.repeats for each in found)
    other_labels = sum(each.outcome.labels != expected.labels for each in found)
    other_quality = sum(each.outcome.quality != expected.quality for each in found)
    differing = len({each[1:] for each in expected.labels})
    yield Figure("kills", kills, beside=f"{len(found)} evaluations; {asking} after the first question")
    yield Figure("answers lost in one kill, most", max(lost), LOAD.in_flight, beside=f"all: {sorted(lost)}")
    yield Figure("repeats at the service, a kill", repeats / kills, LOAD.in_flight, beside=f"{repeats} repeats")
    yield Figure("evaluations with other labels", other_labels, 0, beside=f"{differing} different answers")
    yield Figure("evaluations with other quality", other_quality, 0, beside=f"{len(expected.quality)} figures each")


def invoice_usd(seen: Counted) -> float:
    """What the service's answers cost."""
    price = named_candidate("openai", None).price
    assert price
    return price.cost_usd(Usage(seen.input_tokens, seen.output_tokens))


def measure_budget(folder: Path) -> Iterator[Figure]:
    """Whether the invoice stays below the budget."""
    place = Place(folder, "--provider", "openai", "--concurrency", str(BUDGET_LOAD.in_flight))
    with echo_service(LATENCY_MS, "--various") as address:
        place.run(BUDGET_LOAD.articles, address)
        max_usd = invoice_usd(counted(address)) / 3
        place.forget_answers()
        ended = place.run(BUDGET_LOAD.articles, address, "--max-usd", str(max_usd), code=PARTIAL)
        seen = counted(address)
    invoice = invoice_usd(seen)
    beside = f"{invoice / max_usd:.1%} of it; {seen.requests} requests, {seen.peak_in_flight} in flight at most"
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
    parser.add_argument("--model", type=Path, default=LOCAL_MODEL, help="Of the local evaluations.")
    options = parser.parse_args()
    sizes = (*SIZES, LARGE) if options.large else SIZES
    parts: dict[str, Part] = {
        "speed": ("1,000 articles, 32 in flight, 200 ms", partial(measure_speed, rounds=options.rounds)),
        "kills": ("The same, killed with SIGKILL", partial(measure_kills, kills=options.kills)),
        "budget": ("64 in flight, a third of the money", measure_budget),
        "local": ("The local model", partial(measure_local, model=options.model, sizes=sizes)),
    }
    os.chdir(ROOT)  # candidates are found from here
    if not options.model.is_dir() and "local" in (options.only or parts):
        sys.exit(f"There is no model in {options.model}. Run news-classifier train, or give --model or --only.")
    measure_parts(parts[name] for name in options.only or parts)


if __name__ == "__main__":
    main()
