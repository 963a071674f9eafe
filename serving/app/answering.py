"""From articles to answers: by which version, in what order, on record."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import NamedTuple

from agent.errors import NewsClassifierError
from agent.records import Article, ArticleError, Classification, InvalidArticle
from serving.app.fleet import Fleet, Role
from serving.app.metrics import Metrics
from serving.app.pool import NoWorker, Pool
from serving.app.process import Record, WorkerLost
from serving.app.traffic import Seen, TrafficControl
from serving.predictions.article_key import ArticleKey
from serving.predictions.log import PredictionLog
from serving.predictions.record import Prediction

MOST_SHADOWS = 64
"""Requests to the shadow in flight; beyond that articles go without."""
NOT_LOGGED = ("invalid_article",)
HandOver = Callable[[int, Record], None]
Entry = tuple[int, Article]
"""An article and its index in the request."""


class NobodyThere(NewsClassifierError):
    """No version can answer at the moment."""


class Answered(NamedTuple):
    """All answers of a request."""

    records: list[Record]
    versions: str
    """Who answered, with commas between."""


class Answering:
    """Answers articles.

    Args:
        fleet: Who can.
        traffic: Who should.
        log: Where every answer is kept.
        key: Names articles in the log.
        metrics: Where it is counted.
        keep_text: Whether the log has texts, too.
    """

    def __init__(
        self,
        fleet: Fleet,
        traffic: TrafficControl,
        log: PredictionLog,
        key: ArticleKey,
        metrics: Metrics,
        *,
        keep_text: bool,
    ) -> None:
        self._fleet = fleet
        self._traffic = traffic
        self._log = log
        self._key = key
        self._metrics = metrics
        self._keep_text = keep_text
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, articles: Sequence[Article | InvalidArticle], request_id: str) -> Answered:
        """Answer articles.

        Args:
            articles: Shape (n,).
            request_id: Goes into the log.

        Raises:
            NobodyThere: there is no version that can answer, or the one that should have ended meanwhile.
        """
        found: dict[int, Record] = {}
        versions = await self._answer(articles, request_id, found.__setitem__)
        return Answered([found[index] for index in range(len(articles))], ",".join(sorted(versions)))

    async def stream(self, articles: Sequence[Article | InvalidArticle], request_id: str) -> AsyncIterator[Record]:
        """The same one by one in their order, each as soon as it and all before it are there."""
        ready: asyncio.Queue[tuple[int, Record] | None] = asyncio.Queue()
        work = asyncio.ensure_future(
            self._answer(articles, request_id, lambda index, record: ready.put_nowait((index, record)))
        )
        work.add_done_callback(lambda _: ready.put_nowait(None))
        waiting: dict[int, Record] = {}
        following = 0
        try:
            while (entry := await ready.get()) is not None:
                waiting[entry[0]] = entry[1]
                while following in waiting:
                    yield waiting.pop(following)
                    following += 1
            await work
        finally:
            work.cancel()

    async def finish(self) -> None:
        """Wait for what the shadow is still asked."""
        await asyncio.gather(*self._shadows, return_exceptions=True)

    async def _answer(
        self, articles: Sequence[Article | InvalidArticle], request_id: str, hand_over: HandOver
    ) -> set[str]:
        """Hand over every answer as it comes. Returns the versions that answered."""
        champion = self._fleet.pool("champion")
        if champion is None:
            raise NobodyThere("No version is ready to answer yet.")
        entries: list[Entry] = []
        for index, article in enumerate(articles):
            if isinstance(article, InvalidArticle):
                hand_over(index, refusal(article, champion))
            else:
                entries.append((index, article))
        challenger = self._fleet.pool("challenger") if self._traffic.needs_challenger else None
        if challenger is None:
            await self._ask(champion, "champion", entries, request_id, hand_over)
            return {champion.version.number}
        return await self._split(champion, challenger, entries, request_id, hand_over)

    async def _split(
        self, champion: Pool, challenger: Pool, entries: Sequence[Entry], request_id: str, hand_over: HandOver
    ) -> set[str]:
        """Let each article's own version answer, and have the shadow asked where it is to be."""
        theirs = [entry for entry in entries if self._traffic.is_challengers(entry[1])]
        rest = [entry for entry in entries if not self._traffic.is_challengers(entry[1])]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask_challenger(champion, challenger, theirs, request_id, hand_over))
                group.create_task(self._ask(champion, "champion", rest, request_id, hand_over))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        shadowed = [entry for entry in rest if self._traffic.is_shadowed(entry[1])]
        if shadowed:
            self._shadow(challenger, shadowed, request_id)
        answered = [(challenger, theirs), (champion, rest)]
        return {pool.version.number for pool, some in answered if some}

    async def _ask_challenger(
        self, champion: Pool, challenger: Pool, entries: Sequence[Entry], request_id: str, hand_over: HandOver
    ) -> None:
        """Ask the challenger; what it cannot answer because it is gone is the champion's."""
        answered: set[int] = set()

        def keep(index: int, record: Record) -> None:
            answered.add(index)
            hand_over(index, record)

        try:
            await self._ask(challenger, "challenger", entries, request_id, keep)
        except NobodyThere:
            left = [entry for entry in entries if entry[0] not in answered]
            for _ in left:
                seen = Seen(is_error=True, latency_ms=0.0, cost_usd=0.0)
                self._traffic.record(challenger.version.number, seen, is_challenger=True)
            await self._ask(champion, "champion", left, request_id, hand_over)

    async def _ask(
        self, pool: Pool, role: Role | str, entries: Sequence[Entry], request_id: str, hand_over: HandOver
    ) -> None:
        """Ask one version, put every answer on record, and hand it over."""
        if not entries:
            return
        put_on_record = partial(self._put_on_record, pool.version.number, role, request_id, time.perf_counter())

        def receive(answers: Sequence[tuple[int, Record]]) -> None:
            own = [(entries[position], record) for position, record in answers]
            put_on_record(own)
            for (index, _), record in own:
                hand_over(index, record)

        try:
            await pool.ask([article.model_dump() for _, article in entries], receive)
        except (WorkerLost, NoWorker) as err:
            raise NobodyThere(str(err)) from err

    def _put_on_record(
        self, version: str, role: str, request_id: str, started: float, answers: Sequence[tuple[Entry, Record]]
    ) -> None:
        """Log and count answers of a version."""
        seconds, now = time.perf_counter() - started, time.time()
        predictions = []
        for (_, article), record in answers:
            error = record["error"]["type"] if record["error"] else None
            cost_usd = cost_of(record)
            self._metrics.article(version, role, error or "ok", seconds, cost_usd)
            if error in NOT_LOGGED:
                continue
            seen = Seen(error is not None, seconds * 1000, cost_usd or 0.0)
            self._traffic.record(version, seen, is_challenger=role != "champion")
            predictions.append(
                Prediction(
                    time=now,
                    request_id=request_id,
                    role=role,  # type: ignore[arg-type]
                    version=version,
                    article_hash=self._key.hash(article),
                    article_id=None if article.id is None else str(article.id),
                    category=record["category"],
                    sentiment=record["sentiment"],
                    category_confidence=confidence(record, "category"),
                    sentiment_confidence=confidence(record, "sentiment"),
                    latency_ms=seconds * 1000,
                    cost_usd=cost_usd,
                    error=error,
                    title=article.title if self._keep_text else None,
                    content=article.content if self._keep_text else None,
                )
            )
        self._log.append(predictions)

    def _shadow(self, challenger: Pool, entries: Sequence[Entry], request_id: str) -> None:
        """Ask the challenger too, for the log alone."""
        if len(self._shadows) >= MOST_SHADOWS:
            self._metrics.shadows_skipped.inc(len(entries))
            return

        async def ask() -> None:
            try:
                await self._ask(challenger, "shadow", entries, request_id, lambda index, record: None)
            except NobodyThere:
                self._metrics.shadows_skipped.inc(len(entries))

        task = asyncio.get_running_loop().create_task(ask())
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)


def refusal(article: InvalidArticle, pool: Pool) -> Record:
    """The answer to what is no article."""
    error = ArticleError(type="invalid_article", message=article.problem)
    record = Classification(id=article.id, provider=pool.loaded.provider, model=pool.loaded.model, error=error)
    return record.model_dump(mode="json")


def cost_of(record: Record) -> float | None:
    """What an answer cost, in US dollars; None where a call's cost is not known."""
    costs = [call["cost_usd"] for call in record["calls"]]
    return None if None in costs else float(sum(costs))


def confidence(record: Record, task: str) -> float | None:
    """The probability of the label that was chosen, where there is one."""
    probabilities = record.get(f"{task}_probabilities")
    return probabilities.get(record[task]) if probabilities else None
