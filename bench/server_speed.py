"""The speed of the production server: beside a bare proxy where it forwards, and beside the local model in-process."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure
from loads import Loads, memory, not_answered, told
from served_versions import BATCH, CHAMPION_URI, add_champion, llm_agent, local_agent, new_store, write_bodies
from servers import Running, app, models_serve, script
from stand_in import echo_service
from surroundings import ROOT

LATENCY_MS = 20.0
IN_FLIGHT = 32
FEW, MANY = 300, 3000
"""Requests of one round, one at a time and many."""
BATCHES = 8
HTTPX_FOLDER = ROOT / ".venv-httpx"
SMOKE = ("--smoke", "smoke.yaml")
Start = Callable[[], AbstractContextManager[Running]]
ANSWERED = '"error":null'
"""Stands in the answer to an article."""

LIMIT_OF_BARE = 0.6
LIMIT_ADDED_MS = 3.0
LIMIT_CPU_MS = 1.2
LIMIT_LATENCY = 1.3
LIMIT_OF_CORE = 0.8


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
    ways: dict[str, Start] = {"mlflow models serve": partial(models_serve, folder, environment)}
    if httpx_installed():
        options = ("agent_server.py", CHAMPION_URI, str(HTTPX_FOLDER))
        ways["MLflow's AgentServer, waiting in threads"] = partial(script, folder, environment, *options)
    for name, start in ways.items():
        with start() as server:
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
