"""How close the LLM providers come to the fastest run that there can be, and what an article costs in processor time.

    python bench/providers.py [--latency-ms 200] [--quick]

Beside them, in the same run and each in a process of its own, stand a bare aiohttp client and the official SDK, which
get ready-made questions. The service is bench/echo_service.py: it answers every question after the latency, so that
n articles at c in flight take at least ceil(n / c) times it. The request phase is the service's: first request to last
answer. Of `news-classifier eval run` whole processes are measured, medians of three; what ten articles cost is start-up
and taken off.
"""

import argparse
import asyncio
import http.client
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import aiohttp
import httpx2
import openai
from echo_service import LABELS
from rich.console import Console
from rich.table import Table

from agent.prompt import Turn
from agent.providers import Pace, create_provider
from agent.records import Article
from agent.wires import Question, answer_schema
from agent.wires.openai_chat import OpenAIChat
from eval.candidates import named_candidate

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-echo"
UNLIMITED = 10_000
"""Connections; to the SDK's aiohttp client None means 100."""
PROVIDERS = ("openai", "anthropic", "databricks")
FEW = 10
"""Articles of an evaluation whose cost is taken for start-up."""
ROUNDS = 3
"""Evaluations of each size; start-up is most of their cost and differs by more than what is looked for."""
CLEARED = ("OPENAI_", "ANTHROPIC_", "DATABRICKS_", "MLFLOW_")

Json = dict[str, Any]
Ask = Callable[[Json], Awaitable[str | None]]


class Load(NamedTuple):
    """So many articles, so many of them at a time."""

    articles: int
    in_flight: int

    def bound_s(self, latency_ms: float) -> float:
        """Seconds that no client can beat."""
        return math.ceil(self.articles / self.in_flight) * latency_ms / 1000


LOADS = (Load(1000, 32), Load(5000, 128))


class Cost(NamedTuple):
    """What a load took, by the service's clock and by the client's processor time."""

    phase_s: float
    peak_in_flight: int
    cpu_s: float


class Measured(NamedTuple):
    """One row of the table."""

    name: str
    load: Load
    peak_in_flight: int
    phase_s: float
    x_bound: float
    cpu_ms_per_article: float


def read_statistics(address: str) -> Json:
    """What the service counted since it was last asked."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/stats")
    statistics: Json = json.loads(connection.getresponse().read())
    connection.close()
    return statistics


def checked_cost(address: str, load: Load, cpu_s: float) -> Cost:
    """The cost of what was just done, if it was just that."""
    found = read_statistics(address)
    if found["requests"] != load.articles or found["peak_in_flight"] > load.in_flight:
        sys.exit(f"Not comparable: {load} was asked for, the service saw {found}.")
    return Cost(found["last_answer_s"] - found["first_request_s"], found["peak_in_flight"], cpu_s)


# Clients: run in a process of their own.


@asynccontextmanager
async def bare_aiohttp(address: str) -> AsyncIterator[Ask]:
    """The least that Python code with aiohttp does."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    url = f"http://{address}/v1/chat/completions"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def ask(body: Json) -> str | None:
            async with session.post(url, data=json.dumps(body).encode()) as response:
                return content_of(await response.read())

        yield ask


@asynccontextmanager
async def sdk(address: str) -> AsyncIterator[Ask]:
    """The official SDK as its documentation shows it."""
    async with openai.AsyncOpenAI(base_url=f"http://{address}/v1", api_key=KEY, max_retries=0) as client:

        async def ask(body: Json) -> str | None:
            completion = await client.chat.completions.create(**body)
            return completion.choices[0].message.content

        yield ask


@asynccontextmanager
async def sdk_seams(address: str) -> AsyncIterator[Ask]:
    """The official SDK with another HTTP client and without its models, all by documented means."""
    limits = httpx2.Limits(max_connections=UNLIMITED, max_keepalive_connections=UNLIMITED)
    client = openai.AsyncOpenAI(
        base_url=f"http://{address}/v1",
        api_key=KEY,
        max_retries=0,
        http_client=openai.DefaultAioHttpClient(limits=limits),
    )
    async with client:

        async def ask(body: Json) -> str | None:
            response = await client.post("/chat/completions", body=body, cast_to=httpx2.Response)
            return content_of(response.content)

        yield ask


CLIENTS: Mapping[str, Callable[[str], AbstractAsyncContextManager[Ask]]] = {
    "bare aiohttp": bare_aiohttp,
    "openai SDK": sdk,
    "openai SDK, aiohttp, raw": sdk_seams,
}


def content_of(body: bytes) -> str | None:
    """The text of a chat completion."""
    content: str | None = json.loads(body)["choices"][0]["message"]["content"]
    return content


def questions(articles: Sequence[Article]) -> list[Json]:
    """The bodies that the provider `openai` sends."""
    config = named_candidate("openai", None)
    assert config.prompt
    question = Question(
        model=config.model,
        system=config.prompt.instructions(config.labels, config.answer_format),
        turns=(),
        schema=answer_schema(config.labels),
        output_cap=config.max_output_tokens,
        output_cap_name="max_completion_tokens",
        params=config.params,
    )
    turns = ([Turn("user", config.prompt.article(article))] for article in articles)
    return [dict(OpenAIChat().body(question._replace(turns=turn))) for turn in turns]


async def run_client(name: str, address: str, articles: Sequence[Article], load: Load) -> Cost:
    """All articles with one of the clients."""
    bodies = questions(articles)
    slots = asyncio.Semaphore(load.in_flight)
    async with CLIENTS[name](address) as ask:

        async def ask_in_slot(body: Json) -> str | None:
            async with slots:
                return await ask(body)

        await ask(bodies[0])
        read_statistics(address)
        started = time.process_time()
        answers = await asyncio.gather(*map(ask_in_slot, bodies))
        cpu_s = time.process_time() - started
    if set(answers) != {LABELS}:
        sys.exit(f"{name} did not get the answers of the service.")
    return checked_cost(address, load, cpu_s)


def run_provider(name: str, address: str, articles: Sequence[Article], load: Load) -> Cost:
    """All articles with one of this product's providers."""
    provider = create_provider(named_candidate(name, None), None)
    pace = Pace(load.in_flight, patient=True)
    list(provider.classify(articles[:1], pace))
    read_statistics(address)
    started = time.process_time()
    answers = [answer for _, answer in provider.classify(articles, pace)]
    cpu_s = time.process_time() - started
    labels = json.loads(LABELS)
    if any((answer.category, answer.sentiment) != (labels["category"], labels["sentiment"]) for answer in answers):
        sys.exit(f"{name} did not get the answers of the service.")
    return checked_cost(address, load, cpu_s)


def work(name: str, address: str, data: Path, load: Load) -> None:
    """Run one client or provider in this process and print what it cost."""
    with data.open(encoding="utf-8") as lines:
        articles = [Article.model_validate_json(line) for line in lines]
    if name in CLIENTS:
        cost = asyncio.run(run_client(name, address, articles, load))
    else:
        cost = run_provider(name, address, articles, load)
    print(json.dumps(cost))


# Measuring: starts the service and those processes, one after the other.


@contextmanager
def echo_service(latency_ms: float, *flags: str) -> Iterator[str]:
    """Host and port of a service that lives as long as the context."""
    command = [sys.executable, str(ROOT / "bench/echo_service.py"), "--latency-ms", str(latency_ms), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def environment_for(address: str) -> dict[str, str]:
    """This environment, with the service in place of all others: no proxy, no key, no store, nothing reported home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(CLEARED) and not name.lower().endswith("_proxy")
    }
    return kept | {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://{address}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": f"http://{address}",
        "DATABRICKS_HOST": f"http://{address}",
        "DATABRICKS_TOKEN": KEY,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def write_articles(folder: Path, numbers: Sequence[int]) -> dict[int, Path]:
    """Files with the first so many distinct articles of the training set, under new ids, by their number."""
    rows: dict[tuple[str, str], Json] = {}
    with (ROOT / "data/training_news.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            rows.setdefault((row["title"], row["content"]), row)
    fields = ("title", "content", "category", "sentiment")
    written = [
        json.dumps({"id": f"bench-{n:05}", **{field: row[field] for field in fields}}) + "\n"
        for n, row in enumerate(rows.values())
    ]
    if len(written) < max(numbers):
        sys.exit(f"There are {len(written)} distinct articles; {max(numbers)} are needed.")
    files = {number: folder / f"news-{number}.jsonl" for number in numbers}
    for number, path in files.items():
        path.write_text("".join(written[:number]), encoding="utf-8")
    return files


def run_alone(name: str, address: str, data: Path, load: Load) -> Cost:
    """What one client or provider costs, found out in a process of its own."""
    command = [sys.executable, __file__, "--work", name, "--address", address, "--data", str(data)]
    command += ["--articles", str(load.articles), "--in-flight", str(load.in_flight)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_for(address), stdout=subprocess.PIPE, text=True, check=True
    )
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def children_cpu_s() -> float:
    """Processor seconds of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_evaluation(provider: str, address: str, data: Path, load: Load) -> Cost:
    """What a whole evaluation costs, in the folder of its data, which holds configuration and store."""
    command = [str(Path(sys.executable).with_name("news-classifier")), "eval", "run", "--provider", provider]
    command += ["--data", data.name, "--concurrency", str(load.in_flight)]
    read_statistics(address)
    before_s = children_cpu_s()
    done = subprocess.run(command, cwd=data.parent, env=environment_for(address), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return checked_cost(address, load, children_cpu_s() - before_s)


def measure_evaluation(provider: str, address: str, files: Mapping[int, Path], load: Load) -> Cost:
    """A whole evaluation, medians, its processor seconds without those of an evaluation of few articles."""
    few = Load(FEW, load.in_flight)
    run_evaluation(provider, address, files[FEW], few)  # makes what is made once: store, experiment, prompt
    start_ups, wholes = [], []
    for _ in range(ROUNDS):
        start_ups.append(run_evaluation(provider, address, files[FEW], few))
        wholes.append(run_evaluation(provider, address, files[load.articles], load))
    return Cost(
        phase_s=median(cost.phase_s for cost in wholes),
        peak_in_flight=max(cost.peak_in_flight for cost in wholes),
        cpu_s=median(cost.cpu_s for cost in wholes) - median(cost.cpu_s for cost in start_ups),
    )


def measure_all(latency_ms: float, loads: Sequence[Load]) -> Iterator[Measured]:
    """All rows, one after the other."""

    def measured(name: str, load: Load, cost: Cost, articles: int) -> Measured:
        x_bound = cost.phase_s / load.bound_s(latency_ms)
        return Measured(name, load, cost.peak_in_flight, cost.phase_s, x_bound, 1000 * cost.cpu_s / articles)

    with tempfile.TemporaryDirectory() as scratch, echo_service(latency_ms) as address:
        folder = Path(scratch)
        shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns(".env"))
        files = write_articles(folder, [FEW, *(load.articles for load in loads)])
        for load in loads:
            for name in (*CLIENTS, *PROVIDERS):
                yield measured(name, load, run_alone(name, address, files[load.articles], load), load.articles)
        for name in PROVIDERS:
            cost = measure_evaluation(name, address, files, loads[0])
            yield measured(f"eval run, {name}", loads[0], cost, loads[0].articles - FEW)


def show(rows: Sequence[Measured], latency_ms: float) -> None:
    """Print the table, what the product's client costs beside the others, and all of it for machines."""
    table = Table(title=f"Answers after {latency_ms:g} ms", title_justify="left")
    table.add_column("client")
    for column in ("articles", "in flight", "request phase, s", "x bound", "CPU, ms/article"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = (f"{row.phase_s:.2f}", f"{row.x_bound:.3f}", f"{row.cpu_ms_per_article:.2f}")
        table.add_row(row.name, f"{row.load.articles:,}", str(row.load.in_flight), *cells)
    Console(width=100).print(table)
    cpu_ms = {(row.name, row.load): row.cpu_ms_per_article for row in rows}
    ratios = {
        f"{load.articles} at {load.in_flight}": {name: cpu_ms["openai", load] / cpu_ms[name, load] for name in CLIENTS}
        for load in dict.fromkeys(row.load for row in rows)
    }
    for load_name, found in ratios.items():
        text = ", ".join(f"{ratio:.2f} of {name}" for name, ratio in found.items())
        print(f"CPU of the provider openai, {load_name}: {text}")
    figures = [{**row._asdict(), "load": row.load._asdict()} for row in rows]
    print(json.dumps({"latency_ms": latency_ms, "rows": figures, "cpu_ratios": ratios}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-ms", type=float, default=200, help="How long the service takes to answer.")
    parser.add_argument("--quick", action="store_true", help="Only the smaller load.")
    parser.add_argument("--work", choices=[*CLIENTS, *PROVIDERS], help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--articles", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--in-flight", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.address, options.data, Load(options.articles, options.in_flight))
        return
    rows = list(measure_all(options.latency_ms, LOADS[:1] if options.quick else LOADS))
    show(rows, options.latency_ms)


if __name__ == "__main__":
    main()
