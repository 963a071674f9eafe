"""How a worker answers: a local model in batches, a service by waiting for many answers at a time.

Only the standard library, because a worker imports this before the code of the version that it serves.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BATCH_SIZE = 256
"""Articles that a local model takes at once, so that a long request does not keep short ones waiting."""
BATCH_CHARS = 2_000_000
"""Characters in them, beyond which no article is added: a model takes seconds for so much."""
Send = Callable[[bytes], None]
AskOne = Callable[[Any], Coroutine[Any, Any, Any]]
"""Answers one article."""


def answerer(agent: Any, send: Send) -> "LocalAnswerer | ServiceAnswerer":
    """How this version's articles are answered."""
    if agent.config.provider == "sklearn":
        return LocalAnswerer(agent, send)
    ask_one = agent.classifier.answer if hasattr(agent.classifier, "answer") else in_threads(agent)
    return ServiceAnswerer(ask_one, agent.config.max_concurrency, send)


class LocalAnswerer:
    """Answers with a model in this process, in this thread: all requests that are there at once are one batch to it.

    Args:
        agent: Of the version.
        send: Sends a message.
    """

    def __init__(self, agent: Any, send: Send) -> None:
        self._agent = agent
        self._send = send
        self._waiting: deque[tuple[int, int, int, Any]] = deque()
        """Request, how many articles it has, index, article."""
        self._is_due = False

    def ask(self, request: int, articles: Sequence[Any]) -> None:
        """Take articles in; they are answered when everything that has arrived is read."""
        self._waiting.extend((request, len(articles), index, article) for index, article in enumerate(articles))
        self._be_due()

    def cancel(self, request: int) -> None:
        """Forget what was not answered yet."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] != request)

    def _be_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        self._is_due = False
        self._answer_together(self._next())
        if self._waiting:
            self._be_due()

    def _answer_together(self, batch: Sequence[tuple[int, int, int, Any]]) -> None:
        try:
            records = dict(self._agent.classify([article for *_, article in batch]))
        except Exception as err:
            requests = list(dict.fromkeys(entry[0] for entry in batch))
            if len(requests) == 1:
                self._send(failed(requests[0], err))
                self.cancel(requests[0])
                return
            for request in requests:  # one of them is to blame, and the others should not pay for it
                self._answer_together([entry for entry in batch if entry[0] == request])
        else:
            self._hand_over(batch, records)

    def _next(self) -> list[tuple[int, int, int, Any]]:
        batch: list[tuple[int, int, int, Any]] = []
        chars = 0
        while self._waiting and len(batch) < BATCH_SIZE and chars < BATCH_CHARS:
            batch.append(self._waiting.popleft())
            chars += len(batch[-1][-1].title) + len(batch[-1][-1].content)
        return batch

    def _hand_over(self, batch: Sequence[tuple[int, int, int, Any]], records: dict[int, Any]) -> None:
        by_request: dict[int, list[bytes]] = {}
        ended = set()
        for position, (request, count, index, _) in enumerate(batch):
            by_request.setdefault(request, []).append(answer(index, records[position]))
            if index + 1 == count:
                ended.add(request)
        for request, parts in by_request.items():
            self._send(answered(request, parts, end=request in ended))


class ServiceAnswerer:
    """Answers by asking a service that takes its time, about many articles at once.

    Args:
        ask_one: Answers one article.
        concurrency: How many calls the version's configuration allows.
        send: Sends a message.
    """

    def __init__(self, ask_one: AskOne, concurrency: int, send: Send) -> None:
        self._ask_one = ask_one
        self._send = send
        self._share = max(concurrency // 2, 1)
        """Of one request, so that a long one leaves places for others."""
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def ask(self, request: int, articles: Sequence[Any]) -> None:
        """Begin to answer a request."""
        task = asyncio.get_running_loop().create_task(self._answer_all(request, articles))
        self._tasks[request] = task
        task.add_done_callback(lambda _: self._tasks.pop(request, None))

    def cancel(self, request: int) -> None:
        """Stop asking."""
        if task := self._tasks.get(request):
            task.cancel()

    async def _answer_all(self, request: int, articles: Sequence[Any]) -> None:
        try:
            if len(articles) == 1:
                self._send(answered(request, [answer(0, await self._ask_one(articles[0]))], end=True))
                return
            places = asyncio.Semaphore(self._share)
            async with asyncio.TaskGroup() as group:
                for index, article in enumerate(articles):
                    await places.acquire()
                    group.create_task(self._answer_one(request, index, article, places))
            self._send(answered(request, [], end=True))
        except Exception as err:
            self._send(failed(request, err))

    async def _answer_one(self, request: int, index: int, article: Any, places: asyncio.Semaphore) -> None:
        try:
            self._send(answered(request, [answer(index, await self._ask_one(article))], end=False))
        finally:
            places.release()


def in_threads(agent: Any) -> AskOne:
    """Answers one article with an agent that knows no other way than to block."""
    threads = ThreadPoolExecutor(agent.config.max_concurrency)

    async def ask_one(article: Any) -> Any:
        def ask() -> Any:
            [(_, record)] = agent.classify([article])
            return record

        return await asyncio.get_running_loop().run_in_executor(threads, ask)

    return ask_one


def answer(index: int, record: Any) -> bytes:
    """One article's answer, as JSON."""
    return b"[%d,%s]" % (index, record.model_dump_json().encode())


def answered(request: int, parts: Sequence[bytes], *, end: bool) -> bytes:
    """A message with answers."""
    return b'{"id":%d,"answers":[%s],"end":%s}' % (request, b",".join(parts), b"true" if end else b"false")


def failed(request: int, error: BaseException) -> bytes:
    """A message that a request cannot be answered; only the kind of the error, because its text may hold anything."""
    return json.dumps({"id": request, "failed": type(error).__name__}).encode()
