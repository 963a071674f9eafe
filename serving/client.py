"""Asks a server of the classifier: `NewsClassifier` waits, `AsyncNewsClassifier` is awaited.

    with NewsClassifier("http://localhost:8000") as classifier:
        classifier.classify(title="Rowers win gold", content="...").category

Both are faces of one `Invocations`, whose work is done in the loop of `agent/background.py`; a client may be used from
many threads or loops.
"""

import asyncio
from asyncio import wrap_future
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from agent.background import background_loop
from agent.errors import ConfigError, ServiceError
from agent.failures import RetrySettings
from agent.records import Article, Classification
from agent.transport import Timeouts
from serving.invocations import Answer, ArticleLike, Invocations, batches, encode
from serving.target import open_target

TIMEOUTS = Timeouts(connect_s=10, read_s=120, total_s=300)
BATCH_SIZE = 32
MOST_IN_BATCH = 256
IN_FLIGHT = 4


class Client:
    """What both clients have in common.

    Args:
        address: `http://HOST:8000` of the app, `http://HOST:5001` of `mlflow models serve`, `databricks://ENDPOINT`, or
            `https://WORKSPACE/serving-endpoints/ENDPOINT`.
        api_key: Sent as a bearer token; NEWS_CLASSIFIER_API_KEY unless given, for Databricks what signs in to the
            workspace.
        timeouts: How long is waited, in seconds; `total_s` is for one request with all its retries.
        retries: How failures are waited out. A server's Retry-After is obeyed.
        in_flight: Requests of `classify_many` at once.

    Raises:
        ConfigError: the address is none, or the workspace cannot be signed in to.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeouts: Timeouts = TIMEOUTS,
        retries: RetrySettings | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        if in_flight < 1:
            raise ConfigError(f"in_flight is {in_flight!r}. Give 1 or more.")
        target = open_target(address, SecretStr(api_key) if api_key else None)
        self._server = Invocations(target, timeouts, retries or RetrySettings())
        self._in_flight = in_flight
        self._is_closed = False

    def start(self, articles: list[bytes]) -> "Future[Answer]":
        """Ask about encoded articles; the answer comes later."""
        if self._is_closed:
            raise ServiceError(f"The client of {self._server.url} is closed. Make a new one.")
        return asyncio.run_coroutine_threadsafe(self._server.ask(articles), background_loop())

    def start_many(self, articles: Iterable[ArticleLike], batch_size: int) -> "Generator[Future[Answer], None, None]":
        """Ask about all articles, a few batches at once; the answers in order. Closed early, the rest is cancelled."""
        if not 1 <= batch_size <= MOST_IN_BATCH:
            raise ConfigError(f"batch_size is {batch_size!r}. Give 1 to {MOST_IN_BATCH}.")
        waiting: deque[Future[Answer]] = deque()
        try:
            for batch in batches(articles, batch_size):
                waiting.append(self.start(batch))
                if len(waiting) == self._in_flight:
                    yield waiting[0]
                    waiting.popleft()
            while waiting:
                yield waiting[0]
                waiting.popleft()
        finally:
            for answer in waiting:
                answer.cancel()

    def finish(self) -> "Future[None]":
        """Close the connections."""
        self._is_closed = True
        return asyncio.run_coroutine_threadsafe(self._server.close(), background_loop())


class NewsClassifier(Client):
    """Waits for its answers. Arguments and errors as those of `Client`."""

    def classify(self, title: str = "", content: str = "") -> Classification:
        """The answer for one article; where it could not be classified, its `error` says why.

        Raises:
            ServiceError: the server gave no answer.
        """
        return self.start([encode(Article(title=title, content=content))]).result().records[0]

    def classify_many(self, articles: Iterable[ArticleLike], batch_size: int = BATCH_SIZE) -> Iterator[Classification]:
        """The answers for many articles, in order, as they come.

        Args:
            articles: Records, or mappings with title, content and id; anything else in them stays here. Read as needed.
            batch_size: Articles in one request at most.

        Raises:
            ServiceError: the server gave no answer; what came before it was handed over.
            DataError: an article cannot be sent.
        """
        with closing(self.start_many(articles, batch_size)) as answers:
            for answer in answers:
                yield from answer.result().records

    def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        self.finish().result()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


class AsyncNewsClassifier(Client):
    """Is awaited. Arguments and errors as those of `Client`."""

    async def classify(self, title: str = "", content: str = "") -> Classification:
        """As `NewsClassifier.classify`."""
        return (await wrap_future(self.start([encode(Article(title=title, content=content))]))).records[0]

    async def classify_many(
        self, articles: Iterable[ArticleLike], batch_size: int = BATCH_SIZE
    ) -> AsyncIterator[Classification]:
        """As `NewsClassifier.classify_many`."""
        with closing(self.start_many(articles, batch_size)) as answers:
            for answer in answers:
                for record in (await wrap_future(answer)).records:
                    yield record

    async def close(self) -> None:
        """As `NewsClassifier.close`."""
        await wrap_future(self.finish())

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()
