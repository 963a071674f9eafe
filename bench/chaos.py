"""Whether the production server stays right while everything around it goes wrong.

    python bench/chaos.py [--minutes 10] [--callers 12] [--seed 7]

Callers ask `news-classifier serve app` in all ways, over connections that are kept, while the aliases of champion and
challenger move between a local version and two that ask an LLM, workers are killed with SIGKILL, and the LLM's service
(bench/moody_service.py) answers 500, hangs or is away. The challenger has a share of the articles and is the shadow of
the rest. One request in twenty is malformed. Every version answers by a rule that is known beforehand, so that each
answer is judged: it must be what the version says that X-Model-Version and the record name. A refusal is clean if it
is a 503 with Retry-After or a 504; without a cause it is where no worker was killed in the last seconds, or, if it
speaks of the provider, where its service was well.

The log is read while the server runs, without what was answered in the last flush_s and one second more, and again
when it has ended. It ends by SIGTERM while slow requests are in flight. Exit code 1 where a limit is not kept.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for parts of the tests, which are not installed

import aiohttp
import yaml
from chaos_callers import Book, Caller
from chaos_world import CHALLENGER, World
from figures import Figure, measure_parts
from moody_service import SHIFTS, Labels, Mood, labels_of, moody_service
from processes import MB, memory_bytes
from served_versions import add_champion, local_agent, new_store
from servers import Running, app
from surroundings import LOCAL_MODEL, ROOT, quiet_mlflow

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.records import Article
from eval.candidates import named_candidate
from eval.labeled_set import load_labeled_set
from serving.predictions.record import Prediction
from serving.predictions.store import read_predictions
from tests.serving.running import add_version, point

STORIES = 800
SEED = 7
SETTINGS = {
    "watch": {"every_s": 1, "retry_s": 2, "ping_s": 1},
    "traffic": {"challenger_percent": 20, "shadow_percent": 25},
    "halt": {"max_error_rate": 1, "max_latency_ratio": 1e9, "max_latency_ms": 1e9, "max_cost_ratio": None},
}
FLUSH_S = 0.5
"""As the shipped settings have it."""
PATIENCE = {
    "timeouts": {"connect_s": 1, "read_s": 3, "total_s": 8},
    "retries": {"first_wait_s": 0.1, "open_after": 5, "pause_s": 2},
}
SLOW = "ok 1500"
STATE = "serving-state"
STOP_S = 60.0
ENDS = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
LAST_REQUESTS = 24

LIMIT_WORKER_MB = 300


def llm_version(model: str) -> AgentConfig:
    """A version that asks an LLM and is not patient."""
    fields = named_candidate("openai", model).model_dump() | PATIENCE
    return AgentConfig.model_validate(fields)


def stories() -> list[dict[str, str]]:
    """Articles with their numbers in their titles."""
    path = ROOT / "data/training_news.jsonl"
    rows = load_labeled_set(path, named_candidate("sklearn", None).labels).rows[:STORIES]
    return [
        {"title": f"{row.article.title} (story {number})", "content": row.article.content}
        for number, row in enumerate(rows)
    ]


def prepared(folder: Path, model: Path, address: str) -> tuple[dict[str, str], Book]:
    """A store with all versions, and what is known of their answers."""
    environment = new_store(folder, address)
    local, asked = local_agent(model), stories()
    versions = {local.model: add_champion(local)}
    versions |= {name: add_version(llm_version(name)) for name in SHIFTS}
    point(CHALLENGER, versions[next(iter(SHIFTS))])
    (folder / "serving.yaml").write_text(yaml.safe_dump(SETTINGS))
    known = {
        place: Labels(str(record.category), str(record.sentiment))
        for place, record in Classifier(local).classify([Article(**story) for story in asked])
    }

    def expected(name: str, story: int) -> Labels:
        return labels_of(name, story) if name in SHIFTS else known[story]

    return environment, Book(asked, expected, versions)


def measure_chaos(folder: Path, model: Path, minutes: float, callers: int, seed: int = SEED) -> Iterator[Figure]:
    """All of it."""
    random.seed(seed)
    with moody_service() as mood:
        environment, book = prepared(folder, model, mood.address)
        with app(folder, environment, "--settings", "serving.yaml", "--smoke", "smoke.yaml") as server:
            world = World(server, mood, list(book.versions.values()))
            yield from asyncio.run(chaos(world, server, mood, book, minutes, callers))
            yield from log_figures("while it runs", book, folder / STATE, time.time() - FLUSH_S - 1)
            yield from memory(server)
            pids = server.pids()
            yield from asyncio.run(end(world, server, mood, book))
            exit_code = server.process.wait(STOP_S)
            left = [role for pid, role in pids.items() if Path(f"/proc/{pid}").exists()]
    yield Figure("other end than by SIGTERM", exit_code not in ENDS, 0, "", f"exit code {exit_code}")
    yield Figure("processes left over", len(left), 0, "", str(left or ""))
    yield from log_figures("at the end", book, folder / STATE, float("inf"))


async def chaos(world: World, server: Running, mood: Mood, book: Book, minutes: float, callers: int) -> list[Figure]:
    """Ask and let things go wrong for some minutes."""
    until = asyncio.get_running_loop().time() + 60 * minutes
    started, cpu_started = time.monotonic(), time.process_time()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asking = [Caller(session, server.url, book).run(until) for _ in range(callers)]
        await asyncio.gather(world.run(session, until), *asking)
        restarts = await metric(session, server, "news_worker_restarts_total")
        dropped = await metric(session, server, "news_log_dropped")
    seconds = time.monotonic() - started
    own = (time.process_time() - cpu_started) / seconds
    causes = Counter(each.what for each in world.disturbances)
    unexplained = Counter(reason for moment, reason in book.refused if not world.explains(moment, reason))
    refused = Counter(reason for _, reason in book.refused)
    good = sum(each.error is None for each in book.given)
    beside = f"{len(book.given) / seconds:,.0f} a second; {good:,} with labels; callers took {own:.0%} of a processor"
    wrong_statuses = {status: count for status, count in book.malformed.items() if not 400 <= status < 500}
    return [
        Figure("requests", book.requests + book.malformed.total(), None, "", f"{callers} callers, {minutes:g} minutes"),
        Figure("articles answered", len(book.given), None, "", beside),
        Figure("disturbances", len(world.disturbances), None, "", told(causes)),
        Figure("swaps of the champion", world.swaps["done"], None, "", told(world.swaps)),
        Figure("swaps that did not come to serve", world.swaps["not done"], 0),
        Figure("workers replaced", restarts),
        Figure("wrong or missing answers", book.wrong.total(), 0, "", told(book.wrong)),
        Figure("clean refusals", refused.total(), None, "", told(refused)),
        Figure("clean refusals without a cause", unexplained.total(), 0, "", told(unexplained)),
        Figure("malformed requests that got no 4xx", sum(wrong_statuses.values()), 0, "", told(book.malformed)),
        Figure("predictions dropped", dropped, 0),
    ]


async def end(world: World, server: Running, mood: Mood, book: Book) -> list[Figure]:
    """Tell the server to stop while requests are in flight."""
    wrong, refused, given = book.wrong.total(), len(book.refused), len(book.given)
    async with aiohttp.ClientSession() as session:
        caller = Caller(session, server.url, book)
        champion = book.versions[next(iter(SHIFTS))]
        if not await world.swap_to(session, champion) or not await world.is_calm(session):
            return [Figure("servers that were not well again before the end", 1, 0)]
        mood.be(SLOW)
        ways = [caller.single, caller.lines, caller.events]
        asking = [asyncio.create_task(caller.ask(ways[n % len(ways)])) for n in range(LAST_REQUESTS)]
        await asyncio.sleep(0.5)
        in_flight = sum(not task.done() for task in asking)
        os.kill(server.pid, signal.SIGTERM)
        await asyncio.gather(*asking)
    reasons = Counter(reason for _, reason in book.refused[refused:])
    lost = book.wrong.total() - wrong + reasons.total()
    beside = f"{in_flight} in flight, {len(book.given) - given} articles answered; {told(reasons)}"
    return [Figure("requests not answered after SIGTERM", lost, 0, "", beside)]


def log_figures(when: str, book: Book, state: Path, before: float) -> Iterator[Figure]:
    """Whether everything that was answered before a moment is in the log, as it was answered."""
    rows: dict[tuple[str, str | None], list[Prediction]] = {}
    wrong: Counter[str] = Counter()
    models = {number: name for name, number in book.versions.items()}
    for row in read_predictions(state):
        if row.article_id is None or "-" not in row.article_id or row.request_id.startswith("smoke"):
            continue
        labels = Labels(str(row.category), str(row.sentiment))
        story = int(row.article_id.partition("-")[0])
        wrong["rows with labels that the version does not give"] += row.error is None and labels != book.expected(
            models[row.version], story
        )
        if row.role != "shadow":
            rows.setdefault((row.request_id, row.article_id), []).append(row)
    due = [each for each in book.given if each.at < before]
    for given in due:
        found = rows.get((given.request_id, given.id), [])
        wrong["answers that are not there"] += not found
        wrong["answers that are there twice"] += len(found) > 1
        wrong["answers of another version"] += bool(found) and models[found[0].version] != given.model
        wrong["other errors"] += bool(found) and found[0].error != given.error
    beside = told(+wrong) or f"{len(due):,} answers"
    yield Figure(f"log, {when}: what is missing or wrong", wrong.total(), 0, "", beside)


def memory(server: Running) -> Iterator[Figure]:
    """The memory of each process, and whether there is one worker for each version."""
    each = [(role, memory_bytes(pid)["VmRSS"] / MB) for pid, role in server.pids().items()]
    workers = [value for role, value in each if role == "worker"]
    beside = ", ".join(f"{role} {value:.0f}" for role, value in each)
    yield Figure("memory of the largest worker", max(workers), LIMIT_WORKER_MB, "MB", beside)
    yield Figure("workers more than champion and challenger need", max(len(workers) - 2, 0), 0)


async def metric(session: aiohttp.ClientSession, server: Running, name: str) -> float:
    """The value of a metric."""
    async with session.get(f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def told(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    """Counts as they stand beside a figure."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def main() -> None:
    """Measure, print, and exit with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2, help="How long.")
    parser.add_argument("--callers", type=int, default=12, help="How many ask at once.")
    parser.add_argument("--seed", type=int, default=SEED, help="Of what goes wrong, and when.")
    parser.add_argument("--model", type=Path, default=LOCAL_MODEL, help="Folder of the local model.")
    options = parser.parse_args()
    quiet_mlflow()
    model = options.model.resolve()
    part = partial(measure_chaos, model=model, minutes=options.minutes, callers=options.callers, seed=options.seed)
    measure_parts([(f"Chaos, {options.minutes:g} minutes", part)])


if __name__ == "__main__":
    main()
