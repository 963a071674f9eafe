"""Callers of a server under chaos: what they ask, and what they make of the answers."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
from moody_service import Labels

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
MALFORMED_SHARE = 0.05
INVALID_SHARE = 0.02
"""Entries of lists that are no articles."""
LARGEST_BATCH = 40
PAUSE_S = 0.02
"""A caller waits up to so long before it asks again."""
BUSY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
MALFORMED: Sequence[tuple[str, str, Mapping[str, str], bytes]] = (
    ("POST", "/classify", JSON, b'{"title": "half a'),
    ("POST", "/classify", JSON, b'{"title": "\xff"}'),
    ("POST", "/classify", JSON, b"[1, 2]"),
    ("POST", "/classify", JSON, b"{}"),
    ("POST", "/classify", JSON, b'{"title": "", "content": ""}'),
    ("POST", "/classify", JSON, b'{"title": 7}'),
    ("POST", "/classify", JSON, b'{"articles": "none"}'),
    ("POST", "/classify", JSON, json.dumps({"articles": [{"title": "a"}] * 1001}).encode()),
    ("POST", "/classify", {"Content-Type": "text/plain"}, b"a story"),
    ("POST", "/classify", NDJSON, b'{"title": "a"}\nno json\n'),
    ("POST", "/classify", {**JSON, "Host": "example.com"}, b'{"title": "a"}'),
    ("POST", "/invocations", JSON, b'{"input": 3}'),
    ("POST", "/responses", JSON, b'{"input": []}'),
    ("POST", "/nothing", JSON, b"{}"),
    ("GET", "/classify", {}, b""),
)
Record = Mapping[str, Any]


class Asked(NamedTuple):
    """An entry of a request."""

    id: str
    story: int | None
    """Which article; None for what is none."""
    fields: Mapping[str, object]


class Given(NamedTuple):
    """An answer to an article."""

    at: float
    """When it was there, in seconds since 1970."""
    request_id: str
    id: str
    model: str
    labels: Labels
    error: str | None


class Refused(Exception):
    """A clean refusal of a request, or of its rest."""


class Broken(Exception):
    """An answer that is none."""


class Book:
    """Everything that callers saw.

    Args:
        stories: The articles; the place of one is its number.
        expected: What each model answers to each of them.
        versions: The number of each model's version.
    """

    def __init__(
        self,
        stories: Sequence[Mapping[str, str]],
        expected: Callable[[str, int], Labels],
        versions: Mapping[str, str],
    ) -> None:
        self.stories = stories
        self.expected = expected
        self.versions = versions
        self.requests = 0
        self.given: list[Given] = []
        self.wrong: Counter[str] = Counter()
        """What must not be, by its kind."""
        self.malformed: Counter[int] = Counter()
        """Statuses of what malformed requests got."""
        self.refused: list[tuple[float, str]] = []
        """Clean refusals, with their time."""

    def asked(self, number: int, *, all_valid: bool = False) -> list[Asked]:
        """Entries of a new request."""
        self.requests += 1
        found = []
        for place in range(number):
            story = random.randrange(len(self.stories))
            own_id = f"{story}-{self.requests}-{place}"
            if not all_valid and random.random() < INVALID_SHARE:
                found.append(Asked(own_id, None, {"id": own_id, "title": 7}))
            else:
                found.append(Asked(own_id, story, {"id": own_id, **self.stories[story]}))
        return found

    def judge(self, asked: Sequence[Asked], records: Sequence[Record], request_id: str, versions: str) -> None:
        """Compare answers, the first ones or all, with what they should be."""
        named = versions.split(",")
        for entry, record in zip(asked, records, strict=False):
            error = record["error"] and record["error"]["type"]
            if record["id"] != entry.id:
                self.wrong["the answer to another article"] += 1
            elif (entry.story is None) != (error == "invalid_article"):
                self.wrong["an article taken for none, or the other way round"] += 1
            elif entry.story is not None:
                labels = Labels(record["category"], record["sentiment"])
                self.given.append(Given(time.time(), request_id, entry.id, record["model"], labels, error))
                if error:
                    self.refused.append((time.time(), f"{error} in a list"))
                elif labels != self.expected(record["model"], entry.story):
                    self.wrong["labels that the version does not give"] += 1
                if self.versions[record["model"]] not in named:
                    self.wrong["answers of a version that X-Model-Version does not name"] += 1


class Caller:
    """Asks in all ways, one request after the other.

    Args:
        session: Keeps its connections.
        url: Of the server.
        book: Where everything goes.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, book: Book) -> None:
        self._session = session
        self._url = url
        self._book = book
        self._ways = (self.single, self.single, self.single, self.batch, self.lines, self.invocation, self.events)

    async def run(self, until: float) -> None:
        """Ask until a moment of the loop's clock."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self.ask(self.malformed if random.random() < MALFORMED_SHARE else random.choice(self._ways))
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def ask(self, way: Callable[[], Any]) -> None:
        """Ask in one way, and count what went wrong."""
        try:
            await way()
        except Refused as err:
            self._book.refused.append((time.time(), str(err)))
        except Broken as err:
            self._book.wrong[str(err)] += 1
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as err:
            self._book.wrong[f"no answer: {type(err).__name__} {err}"[:100]] += 1

    async def single(self) -> None:
        """One article."""
        asked = self._book.asked(1, all_valid=True)
        async with self._post("/classify", JSON, asked[0].fields) as (answer, request_id):
            self._judge(asked, [await answer.json()], answer, request_id)

    async def batch(self) -> None:
        """A list of articles."""
        asked = self._book.asked(random.randint(2, LARGEST_BATCH))
        body = {"articles": [entry.fields for entry in asked]}
        async with self._post("/classify", JSON, body) as (answer, request_id):
            self._judge(asked, (await answer.json())["classifications"], answer, request_id)

    async def lines(self) -> None:
        """One article a line."""
        asked = self._book.asked(random.randint(2, LARGEST_BATCH))
        body = "".join(json.dumps(entry.fields) + "\n" for entry in asked).encode()
        async with self._post("/classify", NDJSON, body) as (answer, request_id):
            records = [json.loads(line) async for line in answer.content]
            self._judge(asked, records, answer, request_id)

    async def invocation(self) -> None:
        """As MLflow's clients."""
        asked = self._book.asked(random.randint(1, 8))
        body = {"input": [], "custom_inputs": {"articles": [entry.fields for entry in asked]}}
        async with self._post("/invocations", JSON, body) as (answer, request_id):
            self._judge(asked, (await answer.json())["custom_outputs"]["classifications"], answer, request_id)

    async def events(self) -> None:
        """As OpenAI's client, streaming."""
        asked = self._book.asked(random.randint(1, 8))
        text = json.dumps({"articles": [entry.fields for entry in asked]})
        body = {"model": "champion", "input": [{"role": "user", "content": text}], "stream": True}
        async with self._post("/responses", JSON, body) as (answer, request_id):
            events = [line[len(b"data: ") :].strip() async for line in answer.content if line.startswith(b"data: ")]
            if events[-1] != b"[DONE]":
                raise Broken("a stream of events without its end")
            last = json.loads(events[-2])
            if last["type"] == "error":
                raise Refused(f"{last['error']['status']} in a stream")
            self._judge(asked, last["response"]["custom_outputs"]["classifications"], answer, request_id)

    async def malformed(self) -> None:
        """Something that must be refused."""
        method, path, headers, body = random.choice(MALFORMED)
        async with self._session.request(method, self._url + path, headers=headers, data=body) as answer:
            await answer.read()
            self._book.malformed[answer.status] += 1

    def _judge(
        self, asked: Sequence[Asked], records: list[Record], answer: aiohttp.ClientResponse, request_id: str
    ) -> None:
        problem = records.pop() if records and "provider" not in records[-1] else None
        self._book.judge(asked, records, request_id, answer.headers["X-Model-Version"])
        if problem:
            raise Refused(f"{problem['error']['status']} in a stream")
        if len(records) != len(asked):
            raise Broken("fewer or more answers than articles")

    @asynccontextmanager
    async def _post(
        self, path: str, headers: Mapping[str, str], body: object
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Ask, and go on if the status is 200. Raises Refused for a proper 503 or 504, and Broken."""
        request_id = f"chaos-{self._book.requests}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**headers, "X-Request-Id": request_id}
        async with self._session.post(self._url + path, headers=headers, data=data) as answer:
            if answer.headers.get("X-Request-Id") != request_id:
                raise Broken("an answer with another request id")
            if answer.status in BUSY:
                problem = await answer.json(content_type="application/problem+json")
                if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in answer.headers:
                    raise Broken("a 503 without Retry-After")
                raise Refused(f"{problem['status']}: {problem['detail']}")
            if answer.status != HTTPStatus.OK:
                raise Broken(f"status {answer.status}")
            yield answer, request_id
