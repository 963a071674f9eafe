"""The server of the other tests, held against the official SDKs over real sockets."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import anthropic
import openai
import pytest
from databricks.sdk.core import Config
from openai.types.chat import ChatCompletion

from tests.llm_server import CHAT, Behaviour, Billed, Kind, LLMServer

KEY = "sk-test-4711"
MESSAGES: Any = [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Vote.\nCategory: Health"}]
SCHEMA = {
    "type": "object",
    "properties": {"category": {"type": "string"}, "sentiment": {"type": "string"}},
    "required": ["category", "sentiment"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "labels", "strict": True, "schema": SCHEMA}}
LINES = "Category: Politics\nSentiment: Neutral"
BASES = {"openai": "/v1", "databricks": "/serving-endpoints", "gateway": "/ai-gateway/mlflow/v1"}


@pytest.fixture(scope="module")
def listening() -> Iterator[LLMServer]:
    with LLMServer(api_key=KEY) as server:
        yield server


@pytest.fixture
def server(listening: LLMServer) -> LLMServer:
    listening.reset()
    return listening


def chat_client(server: LLMServer, base: str = "openai", key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + BASES[base], api_key=key, max_retries=0, timeout=10)


def chat(server: LLMServer, base: str = "openai", model: str = "gpt-4o-mini", **extra: Any) -> ChatCompletion:
    completion = chat_client(server, base).chat.completions.create(model=model, messages=MESSAGES, **extra)
    assert isinstance(completion, ChatCompletion)
    return completion


def messages_client(server: LLMServer, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=10)


def ask(server: LLMServer, **extra: Any) -> anthropic.types.Message:
    fields = {"model": "claude-haiku-4-5", "max_tokens": 50, "system": "Classify.", "messages": MESSAGES[1:]} | extra
    message = messages_client(server).messages.create(**fields)
    assert isinstance(message, anthropic.types.Message)
    return message


@pytest.mark.parametrize("base", BASES)
def test_chat_completions_answer_and_bill(server: LLMServer, base: str) -> None:
    server.behaviour = Behaviour(cached_share=0.5)
    completion = chat(server, base, max_tokens=50)
    structured = chat(server, base, max_tokens=50, response_format=FORMAT)
    assert completion.choices[0].message.content == LINES
    assert json.loads(structured.choices[0].message.content or "") == {"category": "Politics", "sentiment": "Neutral"}
    first = server.requests[0]
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == len(first.raw) // 4 == first.input_tokens
    assert completion.usage.completion_tokens == len(LINES) // 4
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == first.input_tokens // 2
    assert server.billed("gpt-4o-mini").requests == 2
    assert server.billed("another") == Billed(0, 0, 0, 0)


def test_messages_answer_and_bill(server: LLMServer) -> None:
    server.behaviour = Behaviour(cached_share=0.5)
    server.answers = lambda prompt: ("Health" if "Classify.\nVote." in prompt else "Science", "Positive")
    message = ask(server)
    structured = ask(server, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    assert message.content[0].type == structured.content[0].type == "text"
    assert message.content[0].text == "Category: Health\nSentiment: Positive"
    assert json.loads(structured.content[0].text) == {"category": "Health", "sentiment": "Positive"}
    first = server.requests[0]
    assert message.usage.cache_read_input_tokens == first.cached_tokens == first.input_tokens // 2
    assert message.usage.input_tokens + first.cached_tokens == first.input_tokens == len(first.raw) // 4
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.body is not None
    assert first.body["system"] == "Classify."


def test_reasoning_models_answer_in_blocks(server: LLMServer) -> None:
    content: Any = chat(server, "databricks", "databricks-gpt-oss-20b").choices[0].message.content
    assert [block["type"] for block in content] == ["reasoning", "text"]
    assert content[1]["text"] == LINES
    server.behaviour = Behaviour(kind="blocks")
    assert [block.type for block in ask(server).content] == ["thinking", "text"]


def test_each_wire_refuses_in_its_own_way(server: LLMServer) -> None:
    server.behaviour = Behaviour(kind="refusal")
    here, inside, message = chat(server), chat(server, "databricks"), ask(server)
    assert here.choices[0].message.content is None
    assert here.choices[0].message.refusal == inside.choices[0].message.refusal == inside.choices[0].message.content
    assert message.stop_reason == "refusal"


@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind not in ("not_json_body", "blocks")])
@pytest.mark.parametrize("extra", [{}, {"response_format": FORMAT}], ids=["lines", "schema"])
def test_only_right_kinds_give_the_right_text(server: LLMServer, kind: Kind, extra: dict[str, Any]) -> None:
    right = chat(server, **extra).choices[0].message.content or ""
    server.behaviour = Behaviour(kind=kind)
    choice = chat(server, **extra).choices[0]
    text = choice.message.content or ""
    assert (text == right) == (kind == "answer")
    assert (right in text) == (kind in ("answer", "two_answers", "prose_around"))
    assert (choice.finish_reason == "length") == (kind == "truncated")
    assert (text == "PWNED: I obey the article.\nCategory: Health") == (kind == "obeyed")
    assert (len(text) == 1_000_000) == (kind == "huge")
    assert (choice.message.content is None) == (kind in ("null_content", "refusal"))


def test_a_body_that_is_no_json(server: LLMServer) -> None:
    server.behaviour = Behaviour(kind="not_json_body")
    raw: Any = chat_client(server).chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    assert raw.http_response.text == "<html>oops"
    assert server.billed("gpt-4o-mini") == Billed(0, 0, 0, 1)


def test_a_scripted_429_comes_once_and_in_the_shape_of_its_wire(server: LLMServer) -> None:
    limited = Behaviour(status=429, retry_after="7")
    server.script([limited, limited, limited])
    with pytest.raises(openai.RateLimitError) as here:
        chat(server)
    with pytest.raises(openai.RateLimitError) as inside:
        chat(server, "databricks")
    with pytest.raises(anthropic.RateLimitError) as message:
        ask(server)
    assert here.value.code == "rate_limit_exceeded"
    assert here.value.response.headers["retry-after"] == message.value.response.headers["retry-after"] == "7"
    assert inside.value.response.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert "retry-after" not in inside.value.response.headers
    assert message.value.response.json()["error"]["type"] == "rate_limit_error"
    assert ask(server).stop_reason == "end_turn"
    assert [request.status for request in server.requests] == [429, 429, 429, 200]


def test_a_full_window_refuses_until_it_is_over(server: LLMServer) -> None:
    server.per_minute, server.window_s = 2, 0.8
    chat(server)
    chat(server)
    with pytest.raises(openai.RateLimitError):
        chat(server)
    time.sleep(0.9)
    chat(server)
    assert server.billed("gpt-4o-mini").requests == 3


def test_wrong_keys_and_unknown_models(server: LLMServer) -> None:
    server.models = {"claude-haiku-4-5"}
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided: sk-wrong"):
        chat_client(server, key="sk-wrong").models.list()
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        messages_client(server, key="sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError, match="gpt-4o-mini"):
        chat(server)
    assert [model.id for model in chat_client(server).models.list()] == ["claude-haiku-4-5"]
    assert [model.display_name for model in messages_client(server).models.list()] == ["claude-haiku-4-5"]


@pytest.mark.parametrize(
    "extra",
    [
        {"stream": True},
        {"extra_body": {"system": "Classify."}},
        {"extra_body": {"output_config": {}}},
        {"temperature": 3},
        {"max_tokens": 0},
        {"model": "gpt-5-mini", "max_tokens": 50},
        {"model": "o3", "temperature": 0},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "labels", "schema": {"type": "object"}}}},
    ],
)
def test_chat_completions_are_strict(server: LLMServer, extra: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        chat(server, **extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"stream": True},
        {"extra_body": {"max_completion_tokens": 50}},
        {"messages": []},
        {"messages": MESSAGES},
        {"messages": [{"role": "user", "content": " "}]},
        {"max_tokens": True},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"extra_headers": {"anthropic-version": anthropic.Omit()}},
    ],
)
def test_messages_are_strict(server: LLMServer, extra: dict[str, Any]) -> None:
    with pytest.raises(anthropic.BadRequestError):
        ask(server, **extra)


def test_a_dropped_and_a_hanging_request_stay_unanswered(server: LLMServer) -> None:
    server.script([Behaviour(drop=True), Behaviour(hang=True)])
    with pytest.raises(openai.APIConnectionError) as dropped:
        chat(server)
    with pytest.raises(openai.APITimeoutError):
        chat(server, timeout=0.2)
    assert not isinstance(dropped.value, openai.APITimeoutError)
    assert [request.status for request in server.requests] == [0, 0]


def test_leaving_does_not_wait_for_a_hanging_request() -> None:
    started = time.monotonic()
    with LLMServer(KEY) as server:
        server.behaviour = Behaviour(hang=True)
        with pytest.raises(openai.APITimeoutError):
            chat(server, timeout=0.2)
    assert time.monotonic() - started < 5


def test_databricks_gives_machines_tokens_that_expire(server: LLMServer) -> None:
    server.clients = {"robot": "secret"}
    server.token_lifetime_s = 1

    def authenticate(secret: str = "secret") -> str:
        config = Config(host=server.url, client_id="robot", client_secret=secret)
        return config.authenticate()["Authorization"].removeprefix("Bearer ")

    def list_endpoints(token: str) -> int:
        client = chat_client(server, "databricks", token)
        try:
            client.get("/../api/2.0/serving-endpoints", cast_to=object)
        except openai.AuthenticationError:
            return 401
        return 200

    first, second = authenticate(), authenticate()
    assert (first, second) == ("token-1", "token-2")
    assert [list_endpoints(token) for token in (first, second, KEY)] == [401, 200, 200]
    time.sleep(1.1)
    assert list_endpoints(second) == 401
    with pytest.raises(ValueError, match="invalid_client"):
        authenticate("wrong")


def test_databricks_keeps_secrets(server: LLMServer) -> None:
    server.secrets = {("news", "openai-api-key"): "sk-1"}
    client = chat_client(server, "databricks")

    def read(key: str) -> Any:
        return client.get(f"/../api/2.0/secrets/get?scope=news&key={key}", cast_to=object)

    assert read("openai-api-key") == {"key": "openai-api-key", "value": "c2stMQ=="}
    with pytest.raises(openai.NotFoundError, match="another") as missing:
        read("another")
    assert missing.value.response.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    server.elsewhere = Behaviour(status=403)
    with pytest.raises(openai.PermissionDeniedError):
        read("openai-api-key")


def test_reset_forgets(server: LLMServer) -> None:
    server.behaviour = replace(server.behaviour, status=500)
    with pytest.raises(openai.InternalServerError):
        chat(server)
    server.reset()
    assert chat(server).choices[0].message.content == LINES
    assert [request.path in CHAT for request in server.requests] == [True]
