"""What all LLM providers share: asking, asking again, reading, counting. A provider adds address, key and wire."""

import asyncio
import contextlib
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from agent.answers import AnswerReader, Reading
from agent.background import iterate, run
from agent.budget import BudgetSpent, check_priced
from agent.config import AgentConfig
from agent.desk import Desk
from agent.endpoint import Endpoint, check_address, signed_by
from agent.errors import ConfigError, JournalError, ProviderError
from agent.failures import GAVE_UP, CallFailed, FailurePolicy, failure
from agent.fingerprint import config_hash
from agent.journal import Asked, question_key
from agent.prices import Usage
from agent.prompt import Turn
from agent.providers import Pace
from agent.records import Article, ArticleError, Call, Classification, ErrorType, Outcome
from agent.redaction import redact, secret_values
from agent.slots import Slots
from agent.transport import SHORTEST_WAIT_S, Response, Transport, Unanswered
from agent.wires import Question, Reply, Wire, answer_schema

Keep = Callable[[Reply, Sequence[Call]], Awaitable[None]]
"""Puts an answer and the calls that it took on disk."""
TIMES_ASKED = 2
"""An answer that cannot be read is asked for once more."""
BEGUN_PER_SLOT = 4
"""Articles begun for each call in flight at most, so that those waiting for a retry leave no slot empty."""
JSON_HEADERS = {"Content-Type": "application/json"}
NO_TOKENS = Usage(0, 0)
"""Of a call that did not reach the model."""
LIST_ADVICE = "Look at the address; not every service lists its models."
NO_LIST = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a list of models that is none raises."""
NO_ANSWER = "(no answer)"
"""Stands for an empty answer when it is quoted back; services refuse empty messages."""


class Heard(NamedTuple):
    """What a call brought: the reply, as it was read."""

    text: str
    outcome: Outcome
    reading: Reading


class LLMProvider(ABC):
    """Asks one LLM over HTTP. Nothing is opened or read from the environment before the first article."""

    wire: ClassVar[Wire]
    models_path: ClassVar[str]
    """Where, from the base address, the service lists its models."""
    output_cap_name: ClassVar[str]
    """How the provider calls the output cap unless the configuration says otherwise."""

    def __init__(self, config: AgentConfig, artifact: Path | None) -> None:
        if config.prompt is None:
            raise ConfigError(f"Agent {config.name!r} has no prompt. Set 'prompt' in its file.")
        self.config = config
        self._prompt = config.prompt
        self._prompt_hash = config.prompt.hash
        self._config_hash = config_hash(config)
        self._reader = AnswerReader(config.labels, config.answer_format)
        self._question = Question(
            model=config.model,
            system=config.prompt.instructions(config.labels, config.answer_format),
            turns=(),
            schema=answer_schema(config.labels) if config.answer_format == "json_schema" else None,
            output_cap=config.max_output_tokens,
            output_cap_name=config.output_cap_name or self.output_cap_name,
            params=config.params,
        )
        self._transport = Transport(config.timeouts)
        self._policy = FailurePolicy(config.retries)
        self._known_endpoint: Endpoint | None = None
        self._secrets: Sequence[str] = ()
        """Of the environment, looked up once, because every answer is searched for them."""
        self._desk: Desk | None = None
        """Where single articles are asked about."""

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Where questions go. Raises ConfigError when the environment lacks a key or an address."""

    @abstractmethod
    def advice(self, status: int) -> str:
        """What to look at after a 401, 403 or 404."""

    @abstractmethod
    def model_names(self, payload: Any) -> list[str]:
        """The names in such a list."""

    def classify(self, articles: Sequence[Article], pace: Pace | None = None) -> Iterator[tuple[int, Classification]]:
        """Answer every article once, as `(its index, answer)`, as the answers come.

        Raises:
            ConfigError: the environment lacks a key or an address, or there is a budget and no price.
            JournalError: an answer could not be kept.
        """
        pace = pace or Pace(self.config.max_concurrency)
        if pace.budget:
            check_priced(self.config)
        if articles:
            self.open()
            yield from iterate(partial(self._classify_all, articles, pace))

    async def answer(self, article: Article) -> Classification:
        """Answer one article in the caller's event loop, which has to be the same every time.

        All callers share as many calls in flight as the configuration allows.

        Raises:
            ConfigError: the environment lacks a key or an address.
        """
        self.open()
        if self._desk is None:
            self._desk = Desk(Slots(self.config.max_concurrency), False, None, 0, None, {})
        return await self._classify(article, self._desk)

    @property
    def is_down(self) -> bool:
        """Whether the service failed so often that it is left alone for a while."""
        return self._policy.breaker.is_open

    def list_models(self) -> list[str]:
        """Names of the models that the endpoint offers.

        Raises:
            ConfigError: the environment lacks a key or an address.
            ProviderError: the endpoint does not answer, or refuses.
        """
        endpoint = self.open()
        url = f"{endpoint.base_url}{self.models_path}"
        try:
            request = self._transport.request("GET", url, endpoint.headers(), None, self.config.timeouts.read_s)
            response = run(request)
            if response.status != HTTPStatus.OK:
                raise failure(response, self._advice_on_list)
            return sorted(self.model_names(json.loads(response.body)))
        except (Unanswered, CallFailed, *NO_LIST) as err:
            raise ProviderError(redact(f"{url} did not list its models: {err}")) from err

    def _advice_on_list(self, status: int) -> str:
        return LIST_ADVICE if status == HTTPStatus.NOT_FOUND else self.advice(status)

    def open(self) -> Endpoint:
        """The endpoint, made when it is first needed. Raises ConfigError as `endpoint` does."""
        if self._known_endpoint is None:
            endpoint = self.endpoint()
            check_address(endpoint.base_url)
            self._secrets = secret_values()
            self._known_endpoint = endpoint
        return self._known_endpoint

    async def _classify_all(
        self, articles: Sequence[Article], pace: Pace, hand_over: Callable[[tuple[int, Classification]], None]
    ) -> None:
        self._transport.open()  # now, because that takes a tenth of a second, which is no part of a call
        slots = pace.slots or Slots(pace.concurrency)
        begun = asyncio.Semaphore(pace.concurrency * BEGUN_PER_SLOT)
        desk = Desk(slots, pace.patient, pace.journal, pace.repeat, pace.budget, {})

        async def answer(index: int, article: Article) -> None:
            try:
                with contextlib.suppress(BudgetSpent):
                    hand_over((index, await self._classify(article, desk)))
            finally:
                begun.release()

        try:
            async with asyncio.TaskGroup() as group:
                for index, article in enumerate(articles):
                    await begun.acquire()
                    if pace.budget and not await pace.budget.has_room():
                        break
                    async with slots:  # one begins when it could be asked about, so that retries never queue behind it
                        group.create_task(answer(index, article))
                    await asyncio.sleep(0)  # lets it take the slot
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _classify(self, article: Article, desk: Desk) -> Classification:
        """Ask about one article, once more if the answer cannot be read, and put everything on record."""
        turns = [Turn("user", self._prompt.article(article))]
        calls: list[Call] = []
        heard, error = Heard("", "ok", Reading()), None
        deadline = time.monotonic() + self.config.timeouts.total_s
        try:
            for _ in range(TIMES_ASKED):
                heard = await self._ask(self._question._replace(turns=turns), article, desk, deadline, calls)
                if heard.outcome != "unreadable":
                    break
                again = self._prompt.once_more(str(heard.reading.problem))
                turns += [Turn("assistant", heard.text.strip() or NO_ANSWER), Turn("user", again)]
        except CallFailed as failed:
            error = ArticleError(type=error_type(failed), message=redact(f"{self.config.provider}: {failed}"))
        except (BudgetSpent, JournalError):  # these end the work on all articles
            raise
        except Exception as err:  # whatever else one response can cause is this article's error and no other's
            logging.getLogger(__name__).exception("Article %s could not be classified.", article.id)
            error = ArticleError(type="provider_error", message=redact(f"{type(err).__name__}: {err}"))
        reading = Reading() if error else heard.reading
        return Classification(
            id=article.id,
            category=reading.category,
            sentiment=reading.sentiment,
            provider=self.config.provider,
            model=self.config.model,
            prompt_version=self._prompt.version,
            prompt_hash=self._prompt_hash,
            unknown_reason=redact(reading.problem) if reading.problem else None,
            calls=tuple(calls),
            error=error,
        )

    async def _ask(self, question: Question, article: Article, desk: Desk, deadline: float, calls: list[Call]) -> Heard:
        """Get one question answered: from the journal if it was before, by calling until it is otherwise."""
        body = json.dumps(self.wire.body(question)).encode()
        if desk.journal is None:
            return await self._call(body, desk, deadline, calls)
        asked = Asked(self.config.provider, self.config.model, self._config_hash, article.hash, desk.repeat)
        key = question_key(asked, self.open().base_url, body)
        async with desk.alone_with(key):  # two articles with one text are asked about once
            if kept := desk.journal.find(key):
                calls.extend(kept.calls)
                return self._hear(kept.reply)
            return await self._call(body, desk, deadline, calls, partial(desk.journal.keep, key, asked))

    async def _call(
        self, body: bytes, desk: Desk, deadline: float, calls: list[Call], keep: Keep | None = None
    ) -> Heard:
        """Make calls until one is answered or none can be."""
        first = len(calls)

        async def attempt() -> Heard:
            async with desk.slots, desk.paid(self._worst_usd(len(body)), calls):
                reply = await self._exchange(body, desk.slots, deadline, calls)
                if keep:  # the slot is given back when the answer is on disk
                    await keep(reply, calls[first:])
            return self._hear(reply)

        return await self._policy.call(attempt, deadline=deadline, patient=desk.patient)

    async def _exchange(self, body: bytes, slots: Slots, deadline: float, calls: list[Call]) -> Reply:
        """Make one call, and put it on record whatever becomes of it."""
        started = time.perf_counter()
        record = partial(self._record, len(body), started, calls)
        try:
            response = await self._send(body, deadline)
        except Unanswered as err:
            outcome: Outcome = "timeout" if err.timed_out else "connection_error"
            record(outcome, None if err.sent else NO_TOKENS)
            raise CallFailed(outcome, str(err)) from err
        if response.status != HTTPStatus.OK:
            failed = failure(response, self.advice)
            slots.record(failed.outcome == "rate_limited", failed.retry_after_s)
            record(failed.outcome, None if failed.status in GAVE_UP else NO_TOKENS)
            raise failed
        slots.record(False)
        try:
            reply = self.wire.reply(json.loads(response.body))
        except (ValueError, RecursionError) as err:
            record("server_error", None)
            raise CallFailed("server_error", f"the response is not one of this service: {err}") from err
        reply = reply._replace(text=fit_to_keep(reply.text, self._secrets))
        record(self._hear(reply).outcome, reply.usage)
        return reply

    async def _send(self, body: bytes, deadline: float) -> Response:
        endpoint = self.open()
        url = f"{endpoint.base_url}{endpoint.path}"
        signed = await signed_by(endpoint, deadline)
        wait_s = max(deadline - time.monotonic(), SHORTEST_WAIT_S)
        return await self._transport.request("POST", url, {**signed, **JSON_HEADERS}, body, wait_s)

    def _hear(self, reply: Reply) -> Heard:
        """Read a reply. One that is cut off is not read, because a label may be the beginning of another."""
        if reply.stop == "refused":
            return Heard(reply.text, "refused", Reading(problem="the model refused to answer"))
        if reply.stop == "truncated":
            return Heard(reply.text, "unreadable", Reading(problem="the answer was cut off at the output cap"))
        reading = self._reader.read(reply.text)
        return Heard(reply.text, "unreadable" if reading.problem else "ok", reading)

    def _worst_usd(self, request_bytes: int) -> float:
        """The most that a call can cost; 0 where the price is not known."""
        price = self.config.price
        return price.cost_usd_at_most(request_bytes, self.config.max_output_tokens) if price else 0.0

    def _record(
        self,
        request_bytes: int,
        started: float,
        calls: list[Call],
        outcome: Outcome,
        usage: Usage | None,
    ) -> None:
        """Put a call on record; without a usage nobody knows what it costs, but the most is known."""
        price = self.config.price
        bound = self._worst_usd(request_bytes) if price else None
        calls.append(
            Call(
                stage="classify",
                model=f"{self.config.provider}:{self.config.model}",
                outcome=outcome,
                latency_ms=(time.perf_counter() - started) * 1000,
                answer_format=self.config.answer_format,
                input_tokens=usage.input_tokens if usage else None,
                cached_input_tokens=usage.cached_input_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                cost_usd=price.cost_usd(usage) if price and usage else None,
                cost_usd_at_most=None if usage else bound,
            )
        )


def fit_to_keep(text: str, secrets: Sequence[str]) -> str:
    """An answer without secrets and half characters: as the journal keeps it, so that it reads the same from there."""
    return redact(text.encode(errors="replace").decode(), secrets)


def error_type(failed: CallFailed) -> ErrorType:
    """What kind of an error a failed call is to an article."""
    if not failed.same_for_all:
        return "provider_error"
    return "rejected" if failed.outcome == "rejected" else "unavailable"
