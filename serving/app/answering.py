"""From articles to answers: by which version, in what order, on record."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple

from agent.errors import NewsClassifierError
from agent.records import Article, ArticleError, Classification, InvalidArticle
from agent.replies import InOrder
from serving.app.fleet import Fleet
from serving.app.halt import Seen
from serving.app.metrics import Metrics
from serving.app.pool import NoWorker, Pool
from serving.app.process import Record, WorkerLost
from serving.app.traffic import TrafficControl
from serving.predictions.article_key import ArticleKey
from serving.predictions.log import PredictionLog
from serving.predictions.record import Prediction, Role

MOST_SHADOWS = 64
"""Requests to the shadow in flight; beyond that articles go without."""
NOT_LOGGED = ("invalid_article",)
HandOver = Callable[[int, Record], None]
Entry = tuple[int, Article]
"""An article and its index in the request."""


class NobodyThere(NewsClassifierError):
    """No version can answer at the moment."""


class Group(NamedTuple):
    """Articles of a request that one version answers."""

    pool: Pool
    role: Role
    entries: Sequence[Entry]
    instead: Pool | None = None
    """Who answers what the version cannot because it is gone."""


class Plan(NamedTuple):
    """Who answers what of a request."""

    request_id: str
    articles: int
    """How many."""
    refused: Sequence[tuple[int, Record]]
    """Answers to what is no article, with their indices."""
    groups: Sequence[Group]
    shadow: Group | None
    """What the challenger is asked about for the log alone, when everything is answered."""

    @property
    def versions(self) -> str:
        """Who may answer, with commas between."""
        pools = [pool for group in self.groups for pool in (group.pool, group.instead) if pool]
        return listed({pool.version.number for pool in pools})


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

    def plan(self, articles: Sequence[Article | InvalidArticle], request_id: str) -> Plan:
        """Decide who answers what.

        Args:
            articles: Shape (n,).
            request_id: Goes into the log.

        Raises:
            NobodyThere: there is no champion yet.
        """
        champion = self._fleet.pool("champion")
        if champion is None:
            raise NobodyThere("No version is ready to answer yet.")
        refused: list[tuple[int, Record]] = []
        entries: list[Entry] = []
        for index, article in enumerate(map(checked, articles)):
            if isinstance(article, InvalidArticle):
                refused.append((index, refusal(article, champion)))
            else:
                entries.append((index, article))
        challenger = self._fleet.pool("challenger") if self._traffic.needs_challenger else None
        if challenger is None:
            return Plan(request_id, len(articles), refused, [Group(champion, "champion", entries)], None)
        theirs: list[Entry] = []
        ours: list[Entry] = []
        for entry in entries:
            (theirs if self._traffic.is_challengers(entry[1]) else ours).append(entry)
        groups = [Group(champion, "champion", ours), Group(challenger, "challenger", theirs, champion)]
        shadowed = [entry for entry in ours if self._traffic.is_shadowed(entry[1])]
        shadow = Group(challenger, "shadow", shadowed) if shadowed else None
        return Plan(request_id, len(articles), refused, [group for group in groups if group.entries], shadow)

    async def answer(self, plan: Plan) -> Answered:
        """All answers, in the order of the articles.

        Raises:
            NobodyThere: the version that should answer has no worker, or lost it meanwhile.
        """
        found: dict[int, Record] = {}
        versions = await self._answer(plan, found.__setitem__)
        return Answered([found[index] for index in range(plan.articles)], listed(versions))

    async def stream(self, plan: Plan) -> AsyncIterator[Record]:
        """The same one by one, each as soon as it and all before it are there. Raises as `answer` does."""
        ready: asyncio.Queue[tuple[int, Record] | None] = asyncio.Queue()
        work = asyncio.ensure_future(self._answer(plan, lambda index, record: ready.put_nowait((index, record))))
        work.add_done_callback(lambda _: ready.put_nowait(None))
        order = InOrder[Record]()
        try:
            while (entry := await ready.get()) is not None:
                for record in order.add(*entry):
                    yield record
            await work
        finally:
            work.cancel()

    async def finish(self) -> None:
        """Wait for what the shadow is still asked."""
        await asyncio.gather(*self._shadows, return_exceptions=True)

    async def _answer(self, plan: Plan, hand_over: HandOver) -> set[str]:
        """Hand over every answer as it comes, then have the shadow asked. Returns the versions that answered."""
        for index, record in plan.refused:
            hand_over(index, record)
        if len(plan.groups) == 1:
            versions = await self._ask_or_fall_back(plan.groups[0], plan.request_id, hand_over)
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    parts = [
                        group.create_task(self._ask_or_fall_back(part, plan.request_id, hand_over))
                        for part in plan.groups
                    ]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
            versions = {version for part in parts for version in part.result()}
        if plan.shadow:
            self._ask_shadow(plan.shadow, plan.request_id)
        return versions

    async def _ask_or_fall_back(self, group: Group, request_id: str, hand_over: HandOver) -> set[str]:
        """Ask a version; what a challenger cannot answer because it is gone is the champion's. Returns who answered."""
        version = group.pool.version.number
        if group.instead is None:
            await self._ask(group, request_id, hand_over)
            return {version}
        answered: set[int] = set()

        def keep(index: int, record: Record) -> None:
            answered.add(index)
            hand_over(index, record)

        try:
            await self._ask(group, request_id, keep)
        except NobodyThere:
            left = [entry for entry in group.entries if entry[0] not in answered]
            for _ in left:
                seen = Seen(is_error=True, latency_ms=0.0, cost_usd=0.0)
                self._traffic.record(version, seen, is_challenger=True)
            await self._ask(Group(group.instead, "champion", left), request_id, hand_over)
            return {group.instead.version.number, *([version] if answered else [])}
        return {version}

    async def _ask(self, group: Group, request_id: str, hand_over: HandOver) -> None:
        """Ask one version, put every answer on record, and hand it over."""
        if not group.entries:
            return
        started = time.perf_counter()

        def receive(answers: Sequence[tuple[int, Record]]) -> None:
            own = [(group.entries[position], record) for position, record in answers]
            self._put_on_record(group, request_id, time.perf_counter() - started, own)
            for (index, _), record in own:
                hand_over(index, record)

        try:
            await group.pool.ask([article.model_dump() for _, article in group.entries], receive)
        except (WorkerLost, NoWorker) as err:
            raise NobodyThere(str(err)) from err

    def _put_on_record(
        self, group: Group, request_id: str, seconds: float, answers: Sequence[tuple[Entry, Record]]
    ) -> None:
        """Log and count answers of a version."""
        version, role, now = group.pool.version.number, group.role, time.time()
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
                    role=role,
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

    def _ask_shadow(self, group: Group, request_id: str) -> None:
        """Ask the challenger too, for the log alone."""
        if len(self._shadows) >= MOST_SHADOWS:
            self._metrics.shadows_skipped.inc(len(group.entries))
            return

        async def ask() -> None:
            try:
                await self._ask(group, request_id, lambda index, record: None)
            except NobodyThere:
                self._metrics.shadows_skipped.inc(len(group.entries))

        task = asyncio.get_running_loop().create_task(ask())
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)


def listed(versions: Iterable[str]) -> str:
    """Versions with commas between."""
    return ",".join(sorted(versions))


def checked(article: Article | InvalidArticle) -> Article | InvalidArticle:
    """An article that can be classified, or why there is none; nobody need be there to say so."""
    problem = None if isinstance(article, InvalidArticle) else article.problem()
    return InvalidArticle(article.id, problem) if problem else article


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
