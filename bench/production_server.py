"""What the production server costs: beside a bare proxy, beside the model in-process, in time to start and in memory.

    python bench/production_server.py [--only forwarding local start growth chaos] [--rounds 5] [--requests 200000]
                                      [--minutes 10] [--model FOLDER]

Everything is measured on `news-classifier serve app` with one worker and the shipped settings, prediction log included,
in a folder that is deleted afterwards. What is compared is asked in turn, round after round; figures are medians of the
rounds. The load is bench/http_load.py, in a process of its own, whose processor time stands beside the figures.

forwarding  A version that asks an LLM, whose service (bench/echo_service.py) answers after 20 ms. The bare proxy
            (bench/bare_proxy.py) sends on the very bodies that the agent sends. Processor time is that of front, worker
            and watcher together. MLflow's own two servers, with the same version and untraced, are told for the record;
            AgentServer needs httpx, which is installed in a folder of its own.
local       The trained model (--model, by default models/local-sklearn), beside calling it in-process, on one core.
start       From the start of the process to the first answer of /ready that is not 503, beside `import mlflow` and
            loading the same version.
growth      Resident memory after 20,000 requests and after all, one in 401 with 256 articles; of each kind of version.
chaos       bench/chaos.py.

The load shares the processors with the servers: on a machine that does other work the figures say little; the load
average stands beside them. Exit code 1 where a limit is not kept.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for parts of the tests, which are not installed

from chaos import measure_chaos
from figures import Figure, Part, measure_parts
from loads import Loads, memory, not_answered
from served_versions import CHAMPION_URI, add_champion, llm_agent, local_agent, new_store, write_bodies
from server_speed import ANSWERED, IN_FLIGHT, LATENCY_MS, SMOKE, measure_forwarding, measure_local
from servers import FRONT, app
from stand_in import echo_service
from surroundings import LOCAL_MODEL, quiet_mlflow

WARM_UP = 20_000
CALLERS = 12
LOAD = "import sys, mlflow; mlflow.pyfunc.load_model(sys.argv[1])"

LIMIT_START = 1.5
LIMIT_GROWTH = 1.05


def measure_start(folder: Path, model: Path, rounds: int) -> Iterator[Figure]:
    """From nothing to the first answer."""
    environment = new_store(folder)
    add_champion(local_agent(model))
    ours, theirs = [], []
    for _ in range(rounds + 1):  # the first fills the disk's cache
        started = time.monotonic()
        subprocess.run([sys.executable, "-P", "-c", LOAD, CHAMPION_URI], env=environment, check=True)
        theirs.append(time.monotonic() - started)
        with app(folder, environment, "--model", CHAMPION_URI) as server:
            ours.append(server.started_s)
    ratios = [mine / other for mine, other in zip(ours[1:], theirs[1:], strict=True)]
    beside = f"{median(ours[1:]):.2f} s to /ready, {median(theirs[1:]):.2f} s to import and load"
    yield Figure("start, of import and load", median(ratios), LIMIT_START, "x", beside)


def measure_growth(folder: Path, model: Path | None, requests: int) -> Iterator[Figure]:
    """Memory after a warm-up and after many more requests; an LLM's version where no model is given."""
    with echo_service(LATENCY_MS) as address:
        environment = new_store(folder, address)
        add_champion(local_agent(model) if model else llm_agent())
        asked = write_bodies(folder)["mixed"]
        with app(folder, environment, "--model", CHAMPION_URI, *SMOKE) as server:
            loads = Loads(f"{server.url}/classify", asked, ANSWERED)
            loads.run(min(WARM_UP, requests // 2), IN_FLIGHT)
            before = server.memory_mb()
            found = loads.run(requests - min(WARM_UP, requests // 2), IN_FLIGHT)
            after = server.memory_mb()
            for role in (FRONT, "worker"):
                beside = f"{before[role]:.1f} MB, then {after[role]:.1f} MB; {found.per_s:,.0f} a second"
                yield Figure(f"growth of the {role}", after[role] / before[role], LIMIT_GROWTH, "x", beside)
            yield from memory(server)
            yield not_answered(loads)


def main() -> None:
    """Measure, print, and exit with 1 where a limit is not kept."""
    names = ("forwarding", "local", "start", "growth", "chaos")
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=names, help="Parts; else all.")
    parser.add_argument("--rounds", type=int, default=5, help="How often what is compared is asked.")
    parser.add_argument("--requests", type=int, default=200_000, help="Of the growth of memory.")
    parser.add_argument("--minutes", type=float, default=10, help="Of chaos.")
    parser.add_argument("--model", type=Path, default=LOCAL_MODEL, help="Folder of the local model.")
    options = parser.parse_args()
    model, rounds = options.model.resolve(), options.rounds
    growth = partial(measure_growth, requests=options.requests)
    parts: dict[str, list[Part]] = {
        "forwarding": [("Forwarding to an LLM, 20 ms", partial(measure_forwarding, rounds=rounds))],
        "local": [("The local model", partial(measure_local, model=model, rounds=rounds))],
        "start": [("Start", partial(measure_start, model=model, rounds=rounds))],
        "growth": [
            (f"{options.requests:,} requests, local", partial(growth, model=model)),
            (f"{options.requests:,} requests, LLM", partial(growth, model=None)),
        ],
        "chaos": [
            (
                f"Chaos, {options.minutes:g} minutes",
                partial(measure_chaos, model=model, minutes=options.minutes, callers=CALLERS),
            )
        ],
    }
    quiet_mlflow()
    measure_parts(part for name in options.only or names for part in parts[name])


if __name__ == "__main__":
    main()
