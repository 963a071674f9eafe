"""How close the LLM providers come to the fastest run that there can be, and what an article costs in processor time.

    python bench/providers.py [--latency-ms 200] [--quick] [--rounds 3]

Beside them, in the same run and each in a process of its own, stand a bare aiohttp client and the official SDK, which
get ready-made questions (bench/llm_clients.py). The service is bench/echo_service.py: it answers every question after
the latency, so that n articles at c in flight take at least ceil(n / c) times it. The request phase is the service's:
first request to last answer. Of `news-classifier eval run` whole processes are measured, medians of three; what ten
articles cost is start-up and taken off.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from evaluation_runs import FEW, Place
from figures import print_table
from llm_clients import CLIENTS, PROVIDERS, Cost, cost_of
from stand_in import Load, counted, counted_for, echo_service

LOADS = (Load(1000, 32), Load(5000, 128))


class Row(NamedTuple):
    """One row of the table."""

    name: str
    load: Load
    peak_in_flight: int
    phase_s: float
    x_bound: float
    cpu_ms_per_article: float


def row_of(name: str, load: Load, cost: Cost, latency_ms: float, articles: int) -> Row:
    """What a load cost, beside the least that it can and for each of the articles that the processor time is of."""
    x_bound = cost.phase_s / load.bound_s(latency_ms)
    return Row(name, load, cost.peak_in_flight, cost.phase_s, x_bound, 1000 * cost.cpu_s / articles)


def run_evaluation(place: Place, provider: str, address: str, load: Load) -> Cost:
    """What a whole evaluation costs that begins with no answer kept."""
    place.forget_answers()
    counted(address)
    ended = place.run(load.articles, address, "--provider", provider, "--concurrency", str(load.in_flight))
    return Cost.of(counted_for(load, address), ended.cpu_s)


def measure_evaluation(place: Place, provider: str, address: str, load: Load, rounds: int) -> Cost:
    """A whole evaluation, medians, its processor seconds without those of an evaluation of few articles."""
    few = Load(FEW, load.in_flight)
    run_evaluation(place, provider, address, few)  # makes what is made once: store, experiment, prompt
    start_ups, wholes = [], []
    for _ in range(rounds):  # start-up is most of their cost and differs by more than what is looked for
        start_ups.append(run_evaluation(place, provider, address, few))
        wholes.append(run_evaluation(place, provider, address, load))
    return Cost(
        phase_s=median(cost.phase_s for cost in wholes),
        peak_in_flight=max(cost.peak_in_flight for cost in wholes),
        cpu_s=median(cost.cpu_s for cost in wholes) - median(cost.cpu_s for cost in start_ups),
    )


def measure(latency_ms: float, loads: Sequence[Load], rounds: int) -> Iterator[Row]:
    """All rows, one after the other."""
    with tempfile.TemporaryDirectory() as folder, echo_service(latency_ms) as address:
        place = Place(Path(folder))
        for load in loads:
            for name in (*CLIENTS, *PROVIDERS):
                cost = cost_of(name, address, place.articles(load.articles), load.in_flight)
                yield row_of(name, load, cost, latency_ms, load.articles)
        load = loads[0]
        for name in PROVIDERS:
            cost = measure_evaluation(place, name, address, load, rounds)
            yield row_of(f"eval run, {name}", load, cost, latency_ms, load.articles - FEW)


def show(rows: Sequence[Row], latency_ms: float) -> None:
    """Print the table, what the product's client costs beside the others, and all of it for machines."""
    columns = ("client", "articles", "in flight", "request phase, s", "x bound", "CPU, ms/article")
    cells = []
    for row in rows:
        figures = (f"{row.phase_s:.2f}", f"{row.x_bound:.3f}", f"{row.cpu_ms_per_article:.2f}")
        cells.append((row.name, f"{row.load.articles:,}", str(row.load.in_flight), *figures))
    print_table(f"Answers after {latency_ms:g} ms", columns, cells, left=["client"])
    ratios = cpu_ratios(rows)
    for load, found in ratios.items():
        text = ", ".join(f"{ratio:.2f} of {name}" for name, ratio in found.items())
        print(f"CPU of the provider openai, {load}: {text}")
    for_machines = [{**row._asdict(), "load": row.load._asdict()} for row in rows]
    print(json.dumps({"latency_ms": latency_ms, "rows": for_machines, "cpu_ratios": ratios}))


def cpu_ratios(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The processor time of the provider openai as a multiple of each client's, by load."""
    cpu_ms = {(row.name, row.load): row.cpu_ms_per_article for row in rows}
    return {
        f"{load.articles} at {load.in_flight}": {name: cpu_ms["openai", load] / cpu_ms[name, load] for name in CLIENTS}
        for load in dict.fromkeys(row.load for row in rows)
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-ms", type=float, default=200, help="How long the service takes to answer.")
    parser.add_argument("--quick", action="store_true", help="Only the smaller load.")
    parser.add_argument("--rounds", type=int, default=3, help="Evaluations of each size.")
    options = parser.parse_args()
    rows = list(measure(options.latency_ms, LOADS[:1] if options.quick else LOADS, options.rounds))
    show(rows, options.latency_ms)


if __name__ == "__main__":
    main()
