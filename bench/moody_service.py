"""A stand-in for an LLM service whose answers are known beforehand, and which fails as it is told.

    python bench/moody_service.py

It prints the port that it listens on and reads its moods from standard input, one a line: `ok MILLISECONDS` answers
after that time, `error` answers 500, `hang` never answers, `away` refuses connections. An answer is a function of the
model that is asked and of the number in "(story NUMBER)", which articles have in their titles.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from echo_service import TEXTS, Connection, Service, chat, response
from surroundings import ROOT

STORY = re.compile(rb"\(story (\d+)\)")
MODEL = re.compile(rb'"model": ?"([^"]+)"')
SHIFTS: Mapping[str, int] = {"gpt-4o-mini": 0, "gpt-6-luna": 7}
"""How far apart the answers of the models are to the same article."""
FAILURE = response({"error": {"message": "no"}}, "500 Internal Server Error")


class Labels(NamedTuple):
    """What an article is called."""

    category: str
    sentiment: str


def text_of(model: str, story: int) -> str:
    """The text of an answer."""
    return TEXTS[(story + SHIFTS[model]) % len(TEXTS)]


def labels_of(model: str, story: int) -> Labels:
    """The labels in an answer."""
    return Labels(**json.loads(text_of(model, story)))


class Moody(Service):
    """What all connections share."""

    def __init__(self) -> None:
        super().__init__(0.02, various=False)
        self.mood = "ok"
        self.connections: set[MoodyConnection] = set()
        self.server: asyncio.Server | None = None

    async def listen(self, port: int) -> int:
        """Take connections. Returns the port."""
        self.server = await self.loop.create_server(lambda: MoodyConnection(self), "127.0.0.1", port, backlog=1024)
        return int(self.server.sockets[0].getsockname()[1])

    async def be(self, mood: str, port: int) -> None:
        """Change the mood, as a line of standard input says it."""
        self.mood, *rest = mood.split()
        self.latency_s = float(rest[0]) / 1000 if rest else self.latency_s
        if self.mood == "away" and self.server:
            self.server.close()
            self.server = None
            for connection in list(self.connections):
                connection.transport.abort()
        elif self.mood != "away" and not self.server:
            await self.listen(port)


class MoodyConnection(Connection):
    """One connection."""

    def __init__(self, service: Moody) -> None:
        super().__init__(service)
        self.moody = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it, so that it can be broken."""
        super().connection_made(transport)
        self.moody.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.moody.connections.discard(self)

    def take(self, target: bytes, body: bytes) -> None:
        """Answer one request as the mood is."""
        if self.moody.mood == "error":
            self.transport.write(FAILURE)
        elif self.moody.mood == "ok":
            story, model = STORY.search(body), MODEL.search(body)
            number = int(story[1]) if story else 0
            text = text_of(model[1].decode() if model else "", number)
            self.moody.loop.call_later(self.moody.latency_s, self.transport.write, response(chat(text, 700)))


async def serve() -> None:
    """Answer until standard input ends."""
    service = Moody()
    port = await service.listen(0)
    print(port, flush=True)
    moods = asyncio.StreamReader()
    await service.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(moods), sys.stdin)
    async for line in moods:
        await service.be(line.decode(), port)


class Mood(NamedTuple):
    """The service as who started it sees it."""

    address: str
    process: "subprocess.Popen[str]"

    def be(self, mood: str) -> None:
        """Change its mood."""
        assert self.process.stdin
        print(mood, file=self.process.stdin, flush=True)


@contextmanager
def moody_service() -> Iterator[Mood]:
    """A service in a process of its own, while the context is open."""
    command = [sys.executable, str(ROOT / "bench/moody_service.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Mood(f"127.0.0.1:{int(process.stdout.readline())}", process)


if __name__ == "__main__":
    asyncio.run(serve())
