"""A server of the classifier on loopback that misbehaves as it is told: late, busy, refusing, answering nonsense."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from agent.records import Classification
from serving.golden import GoldenArticle
from tests.loopback_server import LoopbackServer


class Asked(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    articles: list[dict[str, Any]]


class Reply(NamedTuple):
    """How one request is answered; the echo of what was asked stands in every error, as MLflow's server has it."""

    status: int = 200
    headers: dict[str, str] = {}
    body: str | None = None
    """Instead of an answer."""
    error_code: str = "BAD_REQUEST"
    latency_s: float = 0
    drop: bool = False


@dataclass
class ClassifierServer(LoopbackServer):
    """Listens while its context is open."""

    api_key: str | None = None
    version: str | None = "5"
    known: Mapping[str, GoldenArticle] = field(default_factory=dict)
    """Articles whose labels it knows, by id; others are called by their title."""
    reply: Reply = Reply()
    script: "deque[Reply]" = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        articles = body["custom_inputs"]["articles"]
        self.asked.append(Asked(request.path, dict(request.headers), articles))
        reply = self.script.popleft() if self.script else self.reply
        await asyncio.sleep(reply.latency_s)
        if reply.drop and request.transport:
            request.transport.close()
        if self.api_key and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            reply = Reply(401, error_code="UNAUTHENTICATED")
        if reply.status != 200:
            echo = {"error_code": reply.error_code, "message": f"Failed to predict data '{json.dumps(body)}'."}
            return web.json_response(echo, status=reply.status, headers=reply.headers)
        if reply.body is not None:
            return web.Response(text=reply.body, headers=reply.headers)
        records = [self._record(article).model_dump() for article in articles]
        version = {"X-Model-Version": self.version} if self.version else {}
        return web.json_response({"output": [], "custom_outputs": {"classifications": records}}, headers=version)

    def _record(self, article: dict[str, Any]) -> Classification:
        known = self.known.get(article.get("id") or "")
        category = known.category if known else article.get("title") or "Sports"
        sentiment = (known and known.sentiment) or "Positive"
        return Classification(
            id=article.get("id"), category=category, sentiment=sentiment, provider="sklearn", model="news-sklearn"
        )
