"""The clients of LLM services that bench/providers.py compares, each in a process of its own.

    python bench/llm_clients.py NAME ADDRESS ARTICLES IN_FLIGHT

NAME is one of this product's providers, or one of the clients below, which get ready-made questions. ARTICLES is a file
with one article a line. What they cost is printed as JSON.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx2
import openai
from echo_service import LABELS
from stand_in import Counted, Load, counted, counted_for
from surroundings import KEY, ROOT, Json, environment_for

from agent.prompt import Turn
from agent.providers import Pace, create_provider
from agent.records import Article
from agent.wires import Question, answer_schema
from agent.wires.openai_chat import OpenAIChat
from eval.candidates import named_candidate

UNLIMITED = 10_000
"""Connections; to the SDK's aiohttp client None means 100."""
PROVIDERS = ("openai", "anthropic", "databricks")

Ask = Callable[[Json], Awaitable[str | None]]


class Cost(NamedTuple):
    """What a load took, by the service's clock and by the client's processor time."""

    phase_s: float
    peak_in_flight: int
    cpu_s: float

    @classmethod
    def of(cls, found: Counted, cpu_s: float) -> "Cost":
        """Of what the service counted."""
        return cls(found.phase_s, found.peak_in_flight, cpu_s)


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


async def run_client(name: str, address: str, articles: Sequence[Article], in_flight: int) -> Cost:
    """All articles with one of the clients."""
    bodies = questions(articles)
    slots = asyncio.Semaphore(in_flight)
    async with CLIENTS[name](address) as ask:

        async def ask_in_slot(body: Json) -> str | None:
            async with slots:
                return await ask(body)

        await ask(bodies[0])
        counted(address)
        started = time.process_time()
        answers = await asyncio.gather(*map(ask_in_slot, bodies))
        cpu_s = time.process_time() - started
    if set(answers) != {LABELS}:
        sys.exit(f"{name} did not get the answers of the service.")
    return Cost.of(counted_for(Load(len(articles), in_flight), address), cpu_s)


def run_provider(name: str, address: str, articles: Sequence[Article], in_flight: int) -> Cost:
    """All articles with one of this product's providers."""
    provider = create_provider(named_candidate(name, None), None)
    pace = Pace(in_flight, patient=True)
    list(provider.classify(articles[:1], pace))
    counted(address)
    started = time.process_time()
    answers = [answer for _, answer in provider.classify(articles, pace)]
    cpu_s = time.process_time() - started
    labels = json.loads(LABELS)
    if any((answer.category, answer.sentiment) != (labels["category"], labels["sentiment"]) for answer in answers):
        sys.exit(f"{name} did not get the answers of the service.")
    return Cost.of(counted_for(Load(len(articles), in_flight), address), cpu_s)


def cost_of(name: str, address: str, articles: Path, in_flight: int) -> Cost:
    """What one client or provider costs, found out in a process of its own. Args as above."""
    command = [sys.executable, __file__, name, address, str(articles), str(in_flight)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_for(address), stdout=subprocess.PIPE, text=True, check=True
    )
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Ask about all articles and print what it cost."""
    name, address, path, in_flight = sys.argv[1:]
    with Path(path).open(encoding="utf-8") as lines:
        articles = [Article.model_validate_json(line) for line in lines]
    if name in CLIENTS:
        cost = asyncio.run(run_client(name, address, articles, int(in_flight)))
    else:
        cost = run_provider(name, address, articles, int(in_flight))
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
