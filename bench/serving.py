"""What the production server costs: beside a bare proxy, beside the model in-process, in time to start and in memory.

    python bench/serving.py [--only forwarding local start growth chaos] [--rounds 5] [--requests 200000] [--minutes 10]

Everything is measured on `news-classifier serve app` with one worker and the shipped settings, prediction log included,
in a folder that is deleted afterwards. What is compared is asked in turn, round after round; figures are medians of the
rounds. The load is bench/http_load.py, in a process of its own, whose processor time stands beside the figures.

forwarding  A version that asks an LLM, whose service (bench/echo_service.py) answers after 20 ms. The bare proxy
            (bench/bare_proxy.py) sends on the very bodies that the agent sends. Processor time is that of front, worker
            and watcher together. MLflow's own two servers, with the same version and untraced, are told for the record;
            AgentServer needs httpx, which is installed in a folder of its own.
local       The trained model (--model; trained where there is none), beside calling it in-process, on one core.
start       From the start of the process to the first answer of /ready that is not 503, beside `import mlflow` and
            loading the same version.
growth      Resident memory after 20,000 requests and after all, one in 401 with 256 articles; of each kind of version.
chaos       bench/chaos.py.

The load shares the processors with the servers: on a machine that does other work the figures say little; the load
average stands beside them. Exit code 1 where a limit is not kept.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, where this file hides a package

import mlflow
from figures import Figure, measured
from http_load import Outcome, load
from providers import ROOT, echo_service
from rich.console import Console
from served_versions import BATCH, CHAMPION_URI, add_champion, llm_agent, local_agent, new_store, write_bodies
from servers import FRONT, Running, app, models_serve, script

LATENCY_MS = 20.0
IN_FLIGHT = 32
FEW, MANY = 300, 3000
"""Requests of one round, one at a time and many."""
BATCHES = 8
WARM_UP = 20_000
HTTPX_FOLDER = ROOT / ".venv-httpx"
SMOKE = ("--smoke", "smoke.yaml")
ANSWERED = '"error":null'
"""Stands in the answer to an article."""
LOAD = "import sys, mlflow; mlflow.pyfunc.load_model(sys.argv[1])"

LIMIT_OF_BARE = 0.6
LIMIT_ADDED_MS = 3.0
LIMIT_CPU_MS = 1.2
LIMIT_LATENCY = 1.3
LIMIT_OF_CORE = 0.8
LIMIT_START = 1.5
LIMIT_WORKER_MB = 300
LIMIT_GROWTH = 1.05


class Loads:
    """Loads on one server, kept to be judged together.

    Args:
        url: What is asked.
        bodies: File with the bodies.
        holds: What every answer holds.
    """

    def __init__(self, url: str, bodies: Path, holds: str) -> None:
        self._url = url
        self._bodies = bodies
        self._holds = holds
        self.outcomes: list[Outcome] = []

    def run(self, requests: int, in_flight: int) -> Outcome:
        """One load."""
        found = load(self._url, self._bodies, requests, in_flight, self._holds)
        self.outcomes.append(found)
        return found


def told(outcomes: Sequence[Outcome]) -> str:
    """What stands beside the figure of several loads."""
    rates = ", ".join(f"{found.per_s:,.0f}" for found in outcomes)
    return f"{rates} a second; the load took {max(found.own_share for found in outcomes):.0%} of a processor"


def not_answered(*loads: Loads) -> Figure:
    """How many requests of all loads did not get a proper answer."""
    problems: dict[str, int] = {}
    for outcome in (outcome for each in loads for outcome in each.outcomes):
        for kind, count in outcome.problems.items():
            problems[kind] = problems.get(kind, 0) + count
    return Figure("requests without a proper answer", sum(problems.values()), 0, "", str(problems or ""))


def memory(server: Running) -> Iterator[Figure]:
    """The memory of a server's processes."""
    found = server.memory_mb()
    for role, value in found.items():
        yield Figure(f"memory of the {role}", value, LIMIT_WORKER_MB if role == "worker" else None, "MB")
    yield Figure("memory of all", sum(found.values()), None, "MB")


# The parts.


def measure_forwarding(folder: Path, rounds: int) -> Iterator[Figure]:
    """The server between its callers and an LLM."""
    with echo_service(LATENCY_MS) as address:
        environment = new_store(folder, address)
        add_champion(llm_agent())
        bodies, llm = write_bodies(folder), f"http://{address}/v1/chat/completions"
        with (
            script(folder, environment, "bare_proxy.py", llm) as proxy,
            app(folder, environment, "--model", CHAMPION_URI, *SMOKE) as server,
        ):
            ours = Loads(f"{server.url}/classify", bodies["plain"], ANSWERED)
            bare = Loads(f"{proxy.url}/", bodies["llm"], "chat.completion")
            direct = Loads(llm, bodies["llm"], "chat.completion")
            ours.run(FEW, IN_FLIGHT), bare.run(FEW, IN_FLIGHT)
            pairs, cpu_ms, added_ms = [], [], []
            for _ in range(rounds):
                other = bare.run(MANY, IN_FLIGHT)
                before = server.cpu_s_by_role()
                pairs.append((ours.run(MANY, IN_FLIGHT), other))
                after = server.cpu_s_by_role()
                cpu_ms.append({role: 1000 * (after[role] - before[role]) / MANY for role in after})
                added_ms.append(ours.run(FEW, 1).median_ms - direct.run(FEW, 1).median_ms)
            speeds = [mine.per_s / other.per_s for mine, other in pairs]
            beside = f"{told([mine for mine, _ in pairs])}; bare {told([other for _, other in pairs])}"
            yield Figure("requests a second, of the bare proxy's", median(speeds), LIMIT_OF_BARE, "x", beside, True)
            yield Figure("added median latency, one at a time", median(added_ms), LIMIT_ADDED_MS, "ms")
            shares = {role: median(each[role] for each in cpu_ms) for role in cpu_ms[0]}
            beside = ", ".join(f"{role} {value:.2f}" for role, value in shares.items())
            total_ms = median(sum(each.values()) for each in cpu_ms)
            yield Figure("processor time of a request", total_ms, LIMIT_CPU_MS, "ms", beside)
            yield from memory(server)
            yield not_answered(ours, bare, direct)
        mine = median(outcome.per_s for outcome, _ in pairs)
        yield from measure_mlflow(folder, environment, bodies["agent"], mine)


def measure_mlflow(folder: Path, environment: Mapping[str, str], bodies: Path, ours: float) -> Iterator[Figure]:
    """MLflow's own servers with the same champion, for the record."""
    ways: dict[str, Callable[[], object]] = {"mlflow models serve": partial(models_serve, folder, environment)}
    if httpx_installed():
        options = ("agent_server.py", CHAMPION_URI, str(HTTPX_FOLDER))
        ways["MLflow's AgentServer, waiting in threads"] = partial(script, folder, environment, *options)
    for name, start in ways.items():
        with start() as server:  # type: ignore[attr-defined]
            theirs = Loads(f"{server.url}/invocations", bodies, '"classifications"')
            theirs.run(FEW, IN_FLIGHT)
            found = theirs.run(FEW, IN_FLIGHT)
            beside = f"this server answers {ours / found.per_s:.1f} times as many; {found.problems or 'no'} problems"
            yield Figure(f"{name}: requests a second", found.per_s, None, "", beside)


def httpx_installed() -> bool:
    """Whether httpx, which AgentServer needs and MLflow does not bring, is there or could be installed."""
    if not (HTTPX_FOLDER / "httpx").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--target", str(HTTPX_FOLDER), "httpx>=0.27,<1"], check=False).returncode:
            print("MLflow's AgentServer is left out: httpx cannot be installed.", file=sys.stderr)
            return False
    return True


@contextmanager
def in_process(environment: Mapping[str, str], bodies: Path) -> Iterator[Callable[[int], list[float]]]:
    """The champion in a process of its own; gives the seconds of so many calls."""
    command = [sys.executable, str(ROOT / "bench/in_process.py"), CHAMPION_URI, str(bodies)]
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        sent, answered = process.stdin, process.stdout
        if answered.readline().strip() != "ready":
            sys.exit("The model cannot be called in-process.")

        def call(number: int) -> list[float]:
            print(number, file=sent, flush=True)
            return list(map(float, json.loads(answered.readline())))

        yield call
        sent.close()


def measure_local(folder: Path, model: Path, rounds: int) -> Iterator[Figure]:
    """The local model, served and called."""
    environment = new_store(folder)
    add_champion(local_agent(model))
    bodies = write_bodies(folder)
    with (
        in_process(environment, bodies["agent"]) as call,
        in_process(environment, bodies["agent batch"]) as call_batch,
        app(folder, environment, "--model", CHAMPION_URI) as server,
    ):
        single = Loads(f"{server.url}/classify", bodies["plain"], ANSWERED)
        batch = Loads(f"{server.url}/classify", bodies["batch"], ANSWERED)
        call(FEW), call_batch(BATCHES), single.run(FEW, IN_FLIGHT), batch.run(BATCHES, 1)
        latencies, speeds, batches, crowded, called = [], [], [], [], []
        for _ in range(rounds):
            called.append(call(MANY // 3))
            alone, many = single.run(MANY // 3, 1), single.run(MANY, IN_FLIGHT)
            latencies.append(alone.median_ms / (1000 * median(called[-1])))
            speeds.append(many.per_s * sum(called[-1]) / len(called[-1]))
            seconds = median(call_batch(BATCHES))
            batches.append(batch.run(BATCHES, 1).per_s * seconds)
            crowded.append(batch.run(2 * BATCHES, 2).per_s * seconds)
        beside = f"in-process {1000 * median(map(median, called)):.2f} ms"
        yield Figure("median latency, one at a time, of in-process", median(latencies), LIMIT_LATENCY, "x", beside)
        beside = told(single.outcomes[2::2])
        yield Figure("32 in flight, of a core in-process", median(speeds), LIMIT_OF_CORE, "x", beside, True)
        beside = f"{BATCH * median(found.per_s for found in batch.outcomes[1::2]):,.0f} articles a second"
        yield Figure(f"batches of {BATCH}, of in-process", median(batches), LIMIT_OF_CORE, "x", beside, True)
        yield Figure(f"batches of {BATCH}, two in flight", median(crowded), None, "x")
        yield from memory(server)
        yield not_answered(single, batch)


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
    names = ("forwarding", "local", "start", "growth")
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=names, help="Parts; else all.")
    parser.add_argument("--rounds", type=int, default=5, help="How often what is compared is asked.")
    parser.add_argument("--requests", type=int, default=200_000, help="Of the growth of memory.")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models/local-sklearn", help="Trained where there is none."
    )
    options = parser.parse_args()
    model, rounds = options.model.resolve(), options.rounds
    growth = partial(measure_growth, requests=options.requests)
    parts: dict[str, list[tuple[str, Callable[[Path], Iterator[Figure]]]]] = {
        "forwarding": [("Forwarding to an LLM, 20 ms", partial(measure_forwarding, rounds=rounds))],
        "local": [("The local model", partial(measure_local, model=model, rounds=rounds))],
        "start": [("Start", partial(measure_start, model=model, rounds=rounds))],
        "growth": [
            (f"{options.requests:,} requests, local", partial(growth, model=model)),
            (f"{options.requests:,} requests, LLM", partial(growth, model=None)),
        ],
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    mlflow.tracing.disable()
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    console = Console(width=150)
    kept = [measured(*part, console) for name in options.only or names for part in parts[name]]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
