"""The official SDKs are the reference: the same request goes out, and the same response is read the same way."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import anthropic
import httpx2
import openai
import pytest
from pydantic import BaseModel, create_model

from agent.answers import AnswerReader
from agent.labels import LabelSet
from agent.prices import Usage
from agent.prompt import AnswerFormat
from agent.wires import SCHEMA_NAME, MalformedReply, Reply, Stop, answer_schema
from agent.wires.anthropic_messages import AnthropicMessages
from agent.wires.openai_chat import OpenAIChat
from tests.agent.providers.conftest import SERVICES, Create, Service, ask_one, configure, outcomes, stories
from tests.llm_server import ANTHROPIC, DATABRICKS, OPENAI, Behaviour, Kind, LLMServer, Received

KEY = "sk-test-0123456789"
KINDS = [kind for kind in get_args(Kind) if kind not in ("not_json_body", "huge")]
PAIR = '{"category": "Politics", "sentiment": "Neutral"}'
SAMPLING = ("temperature", "top_p")
Respond = Callable[[httpx2.Request], httpx2.Response]
SDK = openai.OpenAI | anthropic.Anthropic


def client(service: Service, url: str, respond: Respond | None = None) -> SDK:
    """The SDK of a service; over real sockets unless a function responds."""
    http_client = httpx2.Client(transport=httpx2.MockTransport(respond)) if respond else None
    if service.provider == "anthropic":
        return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=10, http_client=http_client)
    base_url = url + service.path.removesuffix("/chat/completions")
    return openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0, timeout=10, http_client=http_client)


def ask_sdk(sdk: SDK, body: Mapping[str, Any]) -> Any:
    """What the SDK makes of the answer to a question."""
    if isinstance(sdk, anthropic.Anthropic):
        sampling = {name: body[name] for name in SAMPLING if name in body}  # no arguments of its own since 1.0
        return sdk.messages.create(
            **{name: value for name, value in body.items() if name not in SAMPLING}, extra_body=sampling
        )
    return sdk.chat.completions.create(**body)


def question(service: Service, answer_format: AnswerFormat, labels: LabelSet, **extra: object) -> dict[str, Any]:
    """The arguments with which a reader of the SDK's documentation asks the first story's question."""
    prompt = configure(service).prompt
    assert prompt
    system, user = prompt.instructions(labels, answer_format), prompt.article(stories(1)[0])
    schema = answer_schema(labels)
    fields: dict[str, Any] = {"model": service.model, service.cap_name: 1024, **extra}
    if service.provider == "anthropic":
        fields |= {"system": system, "messages": [{"role": "user", "content": user}]}
        form = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    else:
        fields["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        named = {"name": SCHEMA_NAME, "strict": True, "schema": schema}
        form = {"response_format": {"type": "json_schema", "json_schema": named}}
    return fields | (form if answer_format == "json_schema" else {})


def read_by_sdk(answer: Any) -> Reply:
    """What the SDK says of an answer, in our words."""
    if isinstance(answer, anthropic.types.Message):
        usage = answer.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        stops: dict[str | None, Stop] = {
            "refusal": "refused",
            "max_tokens": "truncated",
            "model_context_window_exceeded": "truncated",
        }
        return Reply(
            "".join(block.text for block in answer.content if block.type == "text"),
            stops.get(answer.stop_reason, "end"),
            Usage(usage.input_tokens + read + written, usage.output_tokens, read, written),
        )
    choice, content = answer.choices[0], answer.choices[0].message.content
    if isinstance(content, list):  # Databricks' reasoning models, which the SDK lets through
        content = "".join(block["text"] for block in content if block["type"] == "text")
    refused = choice.message.refusal is not None or choice.finish_reason == "content_filter"
    details = answer.usage.prompt_tokens_details
    return Reply(
        content or "",
        "refused" if refused else "truncated" if choice.finish_reason == "length" else "end",
        Usage(
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
            (details and details.cached_tokens) or 0,
            (details and details.cache_write_tokens) or 0,
        ),
    )


@pytest.mark.parametrize("answer_format", ["json_schema", "lines"])
@pytest.mark.parametrize("params", [{}, {"temperature": 0, "top_p": 0.5}], ids=["plain", "params"])
def test_the_sdk_sends_the_same_request(
    server: LLMServer,
    create: Create,
    service: Service,
    answer_format: AnswerFormat,
    params: dict[str, Any],
    labels: LabelSet,
) -> None:
    ask_one(create(service, answer_format=answer_format, params=params))
    [ours] = server.requests
    sent: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(401, json={})

    with pytest.raises((openai.AuthenticationError, anthropic.AuthenticationError)):
        ask_sdk(client(service, server.url, respond), question(service, answer_format, labels, **params))
    [theirs] = sent
    assert theirs.method == "POST"
    assert theirs.url.path == ours.path
    assert json.loads(theirs.content) == ours.body
    for name in ("authorization", "content-type"):
        assert theirs.headers[name] == ours.headers[name]
    assert theirs.headers.get("anthropic-version") == ours.headers.get("anthropic-version")
    assert ("x-api-key" in theirs.headers) == ("x-api-key" in ours.headers)


def test_openais_sdk_makes_the_same_schema_of_a_class_with_these_labels(labels: LabelSet) -> None:
    fields: Any = {task: (Literal[names], ...) for task, names in labels.by_task.items()}
    model: type[BaseModel] = create_model(SCHEMA_NAME, **fields)
    sent: list[Any] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(401, json={})

    sdk = client(SERVICES["openai"], "http://localhost", respond)
    assert isinstance(sdk, openai.OpenAI)
    with pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.parse(model="m", messages=[{"role": "user", "content": "x"}], response_format=model)
    form = sent[0]["response_format"]
    for part in (form["json_schema"]["schema"], *form["json_schema"]["schema"]["properties"].values()):
        part.pop("title")
    assert form == question(SERVICES["openai"], "json_schema", labels)["response_format"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_sdk_reads_the_same_out_of_a_response(server: LLMServer, service: Service, kind: Kind) -> None:
    wires = {"openai": OPENAI, "anthropic": ANTHROPIC, "databricks": DATABRICKS}
    received = Received("", {}, None, b"", input_tokens=400, output_tokens=30, cached_tokens=300)
    payload = wires[service.provider].reply(received, service.model, PAIR, kind)
    sdk = client(service, server.url, lambda _: httpx2.Response(200, json=payload))
    theirs = read_by_sdk(ask_sdk(sdk, {"model": "m", "messages": [], "max_tokens": 1}))
    ours = (AnthropicMessages() if service.provider == "anthropic" else OpenAIChat()).reply(payload)
    assert ours == theirs
    assert ours.usage == Usage(400, 30, 300)


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
TEXT = [{"type": "text", "text": PAIR}]
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": PAIR}}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
BLOCKS = [{"type": "reasoning", "text": "Sports?"}, *TEXT]
TOKENS = {"prompt_tokens": 400, "completion_tokens": 30, "total_tokens": 430}


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("anthropic", {"content": TEXT, "usage": {"input_tokens": 10, "output_tokens": 3}}),
        (
            "anthropic",
            {
                "content": [{"type": "thinking", "thinking": "Sports?", "signature": ""}, *TEXT, *TEXT],
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 3,
                    "cache_read_input_tokens": 300,
                    "cache_creation_input_tokens": 90,
                    "output_tokens_details": {"thinking_tokens": 2},
                },
            },
        ),
        (
            "anthropic",
            {
                "content": [],
                "stop_reason": "model_context_window_exceeded",
                "usage": {"input_tokens": 9, "output_tokens": 0},
            },
        ),
        ("openai", {"choices": [CHOICE], "usage": TOKENS}),
        ("openai", {"choices": [CHOICE | {"finish_reason": "content_filter"}], "usage": TOKENS}),
        ("openai", {"choices": [CHOICE | {"finish_reason": "length"}], "usage": TOKENS}),
        ("openai", {"choices": [CHOICE | {"message": {"role": "assistant", "content": BLOCKS}}], "usage": TOKENS}),
        (
            "openai",
            {
                "choices": [CHOICE],
                "usage": TOKENS
                | {
                    "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 20},
                },
            },
        ),
        ("openai", {"choices": [CHOICE], "usage": TOKENS | {"prompt_tokens_details": {"cache_write_tokens": 300}}}),
    ],
)
def test_the_sdk_reads_the_same_out_of_a_response_in_the_documented_shape(name: str, payload: dict[str, Any]) -> None:
    whole = (MESSAGE if name == "anthropic" else COMPLETION) | payload
    sdk = client(SERVICES[name], "http://localhost", lambda _: httpx2.Response(200, json=whole))
    theirs = read_by_sdk(ask_sdk(sdk, {"model": "m", "messages": [], "max_tokens": 1}))
    assert (AnthropicMessages() if name == "anthropic" else OpenAIChat()).reply(whole) == theirs


@pytest.mark.parametrize("wire", [OpenAIChat(), AnthropicMessages()], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    "payload", [None, 5, "text", [], {}, {"choices": []}, {"choices": [{"message": None}]}, {"content": 5}]
)
def test_another_shape_is_malformed_and_nothing_worse(wire: OpenAIChat | AnthropicMessages, payload: object) -> None:
    with pytest.raises(MalformedReply):
        wire.reply(payload)


@pytest.mark.parametrize("answer_format", ["json_schema", "lines"])
@pytest.mark.parametrize("kind", ["answer", "prose_around", "other_case", "blocks", "off_list", "two_answers", "empty"])
def test_an_sdk_over_the_same_sockets_gets_the_same_labels(
    server: LLMServer, create: Create, service: Service, kind: Kind, answer_format: AnswerFormat, labels: LabelSet
) -> None:
    server.behaviour = Behaviour(kind=kind)
    ours = ask_one(create(service, answer_format=answer_format))
    reply = read_by_sdk(ask_sdk(client(service, server.url), question(service, answer_format, labels)))
    theirs = AnswerReader(labels, answer_format).read(reply.text)
    assert (ours.category, ours.sentiment) == (theirs.category, theirs.sentiment)
    assert bool(ours.unknown_reason) == bool(theirs.problem)
    assert outcomes(ours)[-1] == ("unreadable" if theirs.problem else "ok")
    call = ours.calls[0]
    assert reply.usage
    assert (call.input_tokens, call.output_tokens) == (server.requests[0].input_tokens, reply.usage.output_tokens)
