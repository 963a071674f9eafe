"""What a worker does with what no version should give it, without a process."""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from agent.records import Article, Classification
from serving.app.answerers import BATCH_CHARS, BATCH_SIZE, LocalAnswerer
from serving.app.frames import Frames
from serving.app.worker import serve

UNBEARABLE = "what the model's code fails at"


class Agent:
    """A local version that keeps what it was asked at once."""

    config = SimpleNamespace(provider="sklearn")
    classifier = SimpleNamespace()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def classify(self, articles: Sequence[Article]) -> Any:
        self.batches.append(len(articles))
        if any(article.title == UNBEARABLE for article in articles):
            raise ValueError("the model's code has a fault")
        return enumerate(Classification(id=article.id, provider="sklearn", model="m") for article in articles)


async def ask(agent: Agent, requests: Sequence[Sequence[Article]]) -> list[dict[str, Any]]:
    """All messages of a worker that is asked all at once."""
    sent: list[bytes] = []
    answerer = LocalAnswerer(agent, sent.append)
    for number, articles in enumerate(requests):
        answerer.ask(number, articles)
    async with asyncio.timeout(10):
        while sum(message.get("end", True) for message in map(json.loads, sent)) < len(requests):
            await asyncio.sleep(0)
    return [json.loads(message) for message in sent]


def test_long_articles_are_answered_a_few_at_a_time() -> None:
    agent = Agent()
    asyncio.run(ask(agent, [[Article(content="x" * (BATCH_CHARS // 4))] * 6, [Article(title="short", id="last")]]))
    assert agent.batches == [4, 3]


def test_short_articles_of_many_requests_are_answered_together() -> None:
    agent = Agent()
    messages = asyncio.run(ask(agent, [[Article(title="short", id=n)] for n in range(BATCH_SIZE + 1)]))
    assert agent.batches == [BATCH_SIZE, 1]
    assert all(message["answers"][0][1]["id"] == message["id"] for message in messages)


def test_a_request_that_the_model_fails_at_costs_those_that_came_with_it_nothing() -> None:
    good, bad = Article(title="short"), Article(title=UNBEARABLE)
    agent = Agent()
    messages = asyncio.run(ask(agent, [[good, good], [good, bad], [good]]))
    assert [message.get("failed") for message in messages] == [None, "ValueError", None]
    assert [len(message.get("answers", [])) for message in messages] == [2, 0, 1]
    assert agent.batches == [5, 2, 2, 1]


def test_a_request_whose_beginning_failed_is_not_asked_any_further() -> None:
    agent = Agent()
    long = [Article(title=UNBEARABLE), *[Article(title="short")] * BATCH_SIZE]
    [failed, answered] = asyncio.run(ask(agent, [long, [Article(title="short")]]))
    assert (failed["id"], answered["id"], answered["end"]) == (0, 1, True)
    assert agent.batches == [BATCH_SIZE, 1]


def test_an_article_that_the_versions_code_does_not_take_costs_its_own_request_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "_exit", lambda code: None)  # a worker that gives up would take the tests along

    async def talk() -> list[dict[str, Any]]:
        ours, theirs = socket.socketpair()
        heard: list[dict[str, Any]] = []
        frames = Frames(lambda frame: heard.append(json.loads(frame)), lambda: None)
        work = asyncio.create_task(serve(theirs, Agent()))
        await asyncio.get_running_loop().create_connection(lambda: frames, sock=ours)
        frames.send(json.dumps({"id": 1, "articles": [{"title": ["of another age"]}]}).encode())
        frames.send(json.dumps({"id": 2, "articles": [{"title": "Club wins"}]}).encode())
        async with asyncio.timeout(10):
            while len(heard) < 2:
                await asyncio.sleep(0.01)
        work.cancel()
        return heard

    refused, answered = asyncio.run(talk())
    assert refused == {"id": 1, "failed": "ValidationError"}
    assert (answered["id"], answered["end"]) == (2, True)
