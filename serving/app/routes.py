"""The routes: what is asked and answered in each of the forms that callers use."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version as installed_version

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agent.replies import StreamedReply, response
from agent.requests import ArticleBatch
from serving.app.answering import Answered, Answering, NobodyThere, Plan
from serving.app.bodies import Body, agent_batch, batch_of_lines, plain_batch, read_object, row_of
from serving.app.fleet import ROLES, Fleet
from serving.app.metrics import Metrics
from serving.app.problems import CallerLeft, Problem, busy, unsupported, wrong_shape
from serving.app.process import Record

JSON = "application/json"
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
INVOCATIONS = ("/invocations", "/endpoints/{name}/invocations", "/serving-endpoints/{name}/invocations")
"""The last two are what clients of `mlflow.deployments` ask, by an address and as if it was Databricks."""
RESPONSES = ("/responses", "/v1/responses")
DONE = b"data: [DONE]\n\n"


class Routes:
    """Everything that can be asked for.

    Args:
        answering: Answers articles.
        fleet: Who serves.
        metrics: What is counted.
        refresh: Called before the metrics are shown.
        max_articles: Most articles in a request.
    """

    def __init__(
        self, answering: Answering, fleet: Fleet, metrics: Metrics, refresh: Callable[[], None], max_articles: int
    ) -> None:
        self._answering = answering
        self._fleet = fleet
        self._metrics = metrics
        self._refresh = refresh
        self._max_articles = max_articles

    def all(self) -> list[Route]:
        """The routes."""
        return [
            Route("/classify", self.classify, methods=["POST"]),
            *(Route(path, self.invocations, methods=["POST"]) for path in INVOCATIONS),
            *(Route(path, self.responses, methods=["POST"]) for path in RESPONSES),
            Route("/ping", self.alive, methods=["GET"]),
            Route("/health", self.alive, methods=["GET"]),
            Route("/ready", self.ready, methods=["GET"]),
            Route("/version", self.version, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def classify(self, request: Request) -> Response:
        """Plain articles: one, a list, or one a line."""
        kind = content_type(request)
        if kind not in (JSON, NDJSON):
            raise unsupported(f"{JSON} or {NDJSON}")
        body = await request.body()
        if kind == NDJSON:
            batch = batch_of_lines(body, self._max_articles)
        else:
            batch = plain_batch(read_object(body), self._max_articles)
        plan = self._plan(batch, request)
        if kind == NDJSON or accepts(request, NDJSON):
            return StreamingResponse(self._lines(plan), headers=named(plan.versions), media_type=NDJSON)
        records, versions = await self._answer(plan, request)
        if not batch.single:
            return labelled({"classifications": records}, versions)
        if records[0]["error"]:
            raise problem_with(records[0])
        return labelled(records[0], versions)

    async def invocations(self, request: Request) -> Response:
        """As MLflow's scoring server."""
        body = self._read_json(request, await request.body())
        row = row_of(body)
        if row is None:
            return await self._respond(request, body, {})
        batch = agent_batch(row, self._max_articles)
        records, versions = await self._answer(self._plan(batch, request), request)
        return labelled({"predictions": response(records, single=batch.single)}, versions)

    async def responses(self, request: Request) -> Response:
        """As OpenAI's responses."""
        body = self._read_json(request, await request.body())
        if not isinstance(body.get("model"), str | None):
            raise wrong_shape("'model' must be a text.")
        return await self._respond(request, body, openai_fields(body, request_id(request)))

    async def alive(self, request: Request) -> Response:
        """Whether the server runs."""
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def ready(self, request: Request) -> Response:
        """Whether it can answer, and who does."""
        pools = [(role, pool) for role in ROLES if (pool := self._fleet.pool(role))]
        champion = self._fleet.pool("champion")
        is_ready = champion is not None and champion.workers > 0
        versions = [
            {
                "version": pool.version.number,
                "role": role,
                "breaker": "open" if pool.is_down else "closed",
                "workers": pool.workers,
            }
            for role, pool in pools
        ]
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(to_json({"ready": is_ready, "versions": versions}), int(status), media_type=JSON)

    async def version(self, request: Request) -> Response:
        """Which version answers, and on which evidence and code."""
        champion = self._fleet.pool("champion")
        if champion is None:
            raise busy("No version is ready to answer yet.")
        version, loaded = champion.version, champion.loaded
        found = {
            "model": version.name,
            "version": version.number,
            "alias": version.alias,
            "evidence_hash": version.evidence_hash,
            "code": loaded.code,
            "provider": loaded.provider,
            "provider_model": loaded.model,
            "server": installed_version("news-classifier-agent"),
        }
        return Response(to_json(found), media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        """What Prometheus reads."""
        self._refresh()
        return Response(self._metrics.text(), headers={"content-type": METRICS})

    def _read_json(self, request: Request, body: bytes) -> Body:
        if content_type(request) != JSON:
            raise unsupported(JSON)
        return read_object(body)

    async def _respond(self, request: Request, body: Body, extra: Body) -> Response:
        """Answer a request of the ResponsesAgent, at once or as events."""
        batch = agent_batch(body, self._max_articles)
        plan = self._plan(batch, request)
        if body.get("stream") is True:
            events = self._events(plan, extra, single=batch.single)
            return StreamingResponse(events, headers=named(plan.versions), media_type=EVENTS)
        records, versions = await self._answer(plan, request)
        return labelled({**response(records, single=batch.single), **extra}, versions)

    def _plan(self, batch: ArticleBatch, request: Request) -> Plan:
        try:
            return self._answering.plan(batch.articles, request_id(request))
        except NobodyThere as err:
            raise busy("No version is ready to answer yet. Ask again in a moment.") from err

    async def _answer(self, plan: Plan, request: Request) -> Answered:
        """All answers, unless the caller leaves: then the rest is called off, and costs neither a place nor money."""
        answers = asyncio.ensure_future(self._answering.answer(plan))
        leaving = asyncio.ensure_future(left(request))
        try:
            await asyncio.wait((answers, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                raise CallerLeft
            return answers.result()
        except NobodyThere as err:
            raise busy("No worker could answer. Ask again in a moment.") from err
        finally:
            answers.cancel()
            leaving.cancel()

    async def _lines(self, plan: Plan) -> AsyncIterator[bytes]:
        try:
            async for record in self._answering.stream(plan):
                yield to_json(record) + b"\n"
        except NobodyThere:
            yield to_json({"error": busy("No worker could answer the rest.").fields(plan.request_id)}) + b"\n"

    async def _events(self, plan: Plan, extra: Body, *, single: bool) -> AsyncIterator[bytes]:
        """Server-sent events; those of OpenAI's end with the response itself."""
        reply = StreamedReply(single=single)
        try:
            async for record in self._answering.stream(plan):
                yield event(reply.delta(record))
            for last in reply.end():
                yield event(last)
            if extra:
                whole = {**response(reply.records, single=single), **extra}
                yield event({"type": "response.completed", "response": whole})
        except NobodyThere:
            problem = busy("No worker could answer the rest.").fields(plan.request_id)
            yield event({"type": "error", "error": problem})
        yield DONE


def openai_fields(body: Body, request: str) -> dict[str, object]:
    """What OpenAI's responses have besides the output."""
    model = body.get("model")
    return {
        "id": f"resp_{request}",
        "created_at": int(time.time()),
        "model": model if isinstance(model, str) else "champion",
        "status": "completed",
        "error": None,
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
    }


def problem_with(record: Record) -> Problem:
    """Why the only article of a request has no answer."""
    error = record["error"]
    if error["type"] == "invalid_article":
        return wrong_shape(f"This is no article: {error['message']}.")
    return busy("The model's provider did not answer. Ask again in a moment.", retry_after_s=5)


def labelled(content: Body, versions: str) -> Response:
    """An answer with labels in it, and who gave them."""
    return Response(to_json(content), headers=named(versions), media_type=JSON)


def named(versions: str) -> Mapping[str, str]:
    """The header that says who answers."""
    return {"x-model-version": versions}


def event(fields: Body) -> bytes:
    """One server-sent event."""
    return b"data: " + to_json(fields) + b"\n\n"


def content_type(request: Request) -> str:
    """The media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def accepts(request: Request, media_type: str) -> bool:
    """Whether a media type is asked for by its name."""
    return media_type in request.headers.get("accept", "").lower()


async def left(request: Request) -> None:
    """Wait until the caller is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def request_id(request: Request) -> str:
    """The identifier of a request."""
    return str(request.state.request_id)
