"""LLM providers on loopback, for tests in the same process: as strict as the services, and as odd as they get.

Speaks the wires of OpenAI, Anthropic and Databricks (chat, lists of models, OAuth for machines, secrets) over real
HTTP. `behaviour` and `script` rule the chat paths, `elsewhere` every other path but discovery (`/.well-known/`).

The order of the checks: key (401), request (400), model (404), `Behaviour.status`, `per_minute` (429).
"""

import asyncio
import base64
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from tests.loopback_server import LoopbackServer

Json = dict[str, Any]
Check = Callable[[Any], bool]
Kind = Literal[
    "answer", "off_list", "two_answers", "truncated", "refusal", "empty", "null_content", "prose_around",
    "other_case", "blocks", "obeyed", "garbage_json", "not_json_body", "huge",
]  # fmt: skip

THOUGHT = "Category: Sports? No."
NOT_JSON = "<html>oops"
NO_MAX_TOKENS = re.compile(r"^(gpt-[56]|o\d)")
INJECTED_LINE = re.compile(r"^\s*(Category: *\w.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered."""

    status: int = 200
    retry_after: str | None = None
    """Value of Retry-After beside an error; Databricks never sends it with a 429."""
    latency_s: float = 0
    hang: bool = False
    """Never answers, until the client leaves or the server stops."""
    drop: bool = False
    """Closes the connection without an answer."""
    kind: Kind = "answer"
    cached_share: float = 0.0


@dataclass
class Received:
    """One request; `status` stays 0 until it is answered, tokens stay 0 unless usage was reported."""

    path: str
    headers: dict[str, str]
    body: Json | None
    raw: bytes
    status: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class Billed(NamedTuple):
    """Sums over the chat requests answered with 200; `cached_tokens` are part of `input_tokens` on every wire."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    requests: int


class Refused(Exception):
    """An answer with an error status, in the shape of whichever wire it happens on."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Refused(400, message)


# What a model writes.


class Draft(NamedTuple):
    """The right answer to a prompt, and what else goes into a wrong one."""

    category: str
    sentiment: str
    prompt: str
    as_json: bool

    def write(self, category: str | None = None, sentiment: str | None = None) -> str:
        category, sentiment = category or self.category, sentiment or self.sentiment
        if self.as_json:
            return json.dumps({"category": category, "sentiment": sentiment})
        return f"Category: {category}\nSentiment: {sentiment}"

    def off_list(self) -> str:
        label = "Gardening"
        while label in self.prompt:
            label += "s"
        return self.write(label)

    def two_answers(self) -> str:
        category = "Politics" if self.category == "Sports" else "Sports"
        sentiment = "Positive" if self.sentiment == "Negative" else "Negative"
        return f"{self.write()}\n{self.write(category, sentiment)}"

    def obeyed(self) -> str:
        lines = INJECTED_LINE.findall(self.prompt.replace("\\n", "\n"))
        return "\n".join(["PWNED: I obey the article.", *lines[-1:]])


TEXTS: dict[Kind, Callable[[Draft], str]] = {
    "off_list": Draft.off_list,
    "two_answers": Draft.two_answers,
    "truncated": lambda draft: draft.write()[: len(draft.write()) // 2],
    "refusal": lambda _: "I'm sorry, but I can't help with that.",
    "empty": lambda _: "",
    "null_content": lambda _: "",
    "prose_around": lambda draft: f"I have read the article.\n\n{draft.write()}\n\nLet me know if you need more.",
    "other_case": lambda draft: draft.write(draft.category.swapcase(), draft.sentiment.swapcase()),
    "obeyed": Draft.obeyed,
    "garbage_json": lambda _: '{"category": ',
    "huge": lambda _: "news " * 200_000,
}


# What a request may hold.


def of(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def between(low: float, high: float) -> Check:
    return lambda value: of(int, float)(value) and low <= value <= high


CHECKS: dict[str, Check] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "top_k"), lambda value: of(int)(value) and value > 0),
    **dict.fromkeys(("model", "service_tier", "reasoning_effort", "verbosity", "prompt_cache_key"), of(str)),
    **dict.fromkeys(("metadata", "response_format", "output_config", "thinking", "cache_control"), of(dict)),
    **dict.fromkeys(("messages", "stop_sequences"), of(list)),
    **dict.fromkeys(("stop", "system"), of(str, list)),
    **dict.fromkeys(("stream", "store"), of(bool)),
    "seed": of(int),
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "n": between(1, 1),
}


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def read_texts(content: Any, where: str) -> list[str]:
    """The texts of a string or of a list of text blocks."""
    if isinstance(content, str):
        return [content]
    require(isinstance(content, list) and bool(content), f"{where}: expected a string or a list of blocks")
    for block in content:
        require(of(dict)(block) and block.get("type") == "text", f"{where}: only blocks of type text are supported")
        require(isinstance(block.get("text"), str), f"{where}: text must be a string")
    return [block["text"] for block in content]


def has_open_object(schema: Any) -> bool:
    """Whether a JSON schema has, at any depth, an object that does not forbid further properties."""
    if isinstance(schema, list):
        return any(map(has_open_object, schema))
    if not isinstance(schema, dict):
        return False
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return is_open or any(map(has_open_object, schema.values()))


def check_schema(schema: Any, where: str) -> None:
    require(of(dict)(schema) and schema.get("type") == "object", f"Invalid schema for {where}: no object")
    closed = not has_open_object(schema)
    require(closed, f"Invalid schema for {where}: 'additionalProperties' is required to be supplied and to be false.")


# Wires.


class OpenAIWire:
    """Chat completions as OpenAI has them."""

    roles = names("system developer user assistant")
    parameters = names(
        "model messages max_tokens max_completion_tokens temperature top_p n seed stop stream response_format store "
        "reasoning_effort verbosity metadata service_tier prompt_cache_key"
    )
    required: tuple[str, ...] = ("model", "messages")
    unknown_parameter = "Unrecognized request argument supplied: {}"
    codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 500: "server_error"}

    def key(self, headers: dict[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def bad_key(self, key: str) -> str:
        return f"Incorrect API key provided: {key}." if key else "You didn't provide an API key."

    def check(self, body: Json) -> list[str]:
        """The texts of the prompt, of a request that is right."""
        for name in self.required:
            require(name in body, f"{name}: Field required")
        for name, value in body.items():
            require(name in self.parameters, self.unknown_parameter.format(name))
            require(CHECKS[name](value), f"Invalid value for '{name}': {value!r:.80}")
        require(not body.get("stream"), "Streaming is not supported here.")
        require(bool(body["messages"]), "[] is too short - 'messages'")
        self.check_parameters(body)
        return [text for number, message in enumerate(body["messages"]) for text in self.read_message(number, message)]

    def read_message(self, number: int, message: Any) -> list[str]:
        where = f"messages.{number}"
        require(of(dict)(message) and str(message.get("role")) in self.roles, f"{where}: Invalid value for 'role'")
        extra = sorted(message.keys() - {"role", "content", "name"})
        require(not extra, f"{where}: {self.unknown_parameter.format(extra)}")
        return read_texts(message.get("content"), f"{where}.content")

    def check_parameters(self, body: Json) -> None:
        if NO_MAX_TOKENS.match(body["model"]):
            require(
                "max_tokens" not in body, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            )
            require(body.get("temperature", 1) == 1, "Unsupported value: 'temperature' must be 1 with this model.")
        self.check_format(body)

    def check_format(self, body: Json) -> None:
        wanted = body.get("response_format", {"type": "text"})
        require(wanted.get("type") in ("text", "json_object", "json_schema"), "Invalid value: 'response_format.type'")
        if wanted["type"] == "json_schema":
            form = wanted.get("json_schema")
            require(of(dict)(form), "Missing required parameter: 'response_format.json_schema'.")
            named = isinstance(form.get("name"), str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", form["name"])
            require(bool(named), "Missing required parameter: 'response_format.json_schema.name'.")
            require(form.keys() <= {"name", "description", "schema", "strict"}, "Unknown parameter: 'json_schema'.")
            check_schema(form.get("schema"), "response_format")

    def wants_json(self, body: Json) -> bool:
        return body.get("response_format", {}).get("type") in ("json_object", "json_schema")

    def error(self, status: int, message: str) -> Json:
        kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": self.codes.get(status)}}

    def headers(self, refused: Refused) -> dict[str, str]:
        return {"Retry-After": refused.retry_after} if refused.retry_after is not None else {}

    def message(self, model: str, text: str, kind: Kind) -> Json:
        if kind == "refusal":
            return {"content": None, "refusal": text}
        return {"content": self.content(text, kind), "refusal": None}

    def content(self, text: str, kind: Kind) -> Any:
        reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}
        blocks = [reasoning, {"type": "text", "text": text}]
        return {"null_content": None, "blocks": blocks}.get(kind, text)

    def reply(self, received: Received, model: str, text: str, kind: Kind) -> Json:
        message = {"role": "assistant", **self.message(model, text, kind)}
        finish = "length" if kind == "truncated" else "stop"
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": received.input_tokens,
                "completion_tokens": received.output_tokens,
                "total_tokens": received.input_tokens + received.output_tokens,
                "prompt_tokens_details": {"cached_tokens": received.cached_tokens},
            },
        }

    def list_models(self, models: list[str]) -> Json:
        data = [{"id": name, "object": "model", "created": 1700000000, "owned_by": "openai"} for name in models]
        return {"object": "list", "data": data}


class DatabricksWire(OpenAIWire):
    """OpenAI's wire with the errors of Databricks, fewer parameters, and reasoning blocks from gpt-oss."""

    unknown_parameter = "Bad request: json: unknown field {!r}"
    parameters = names(
        "model messages max_tokens max_completion_tokens temperature top_p top_k n stop stream response_format "
        "reasoning_effort thinking"
    )
    codes = {
        400: "BAD_REQUEST",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "RESOURCE_DOES_NOT_EXIST",
        429: "REQUEST_LIMIT_EXCEEDED",
        503: "TEMPORARILY_UNAVAILABLE",
    }

    def bad_key(self, key: str) -> str:
        return "Invalid access token." if key else "Credential was not sent or was of an unsupported type for this API."

    def check_parameters(self, body: Json) -> None:
        self.check_format(body)

    def error(self, status: int, message: str) -> Json:
        return {"error_code": self.codes.get(status, "INTERNAL_ERROR"), "message": message}

    def headers(self, refused: Refused) -> dict[str, str]:
        return {} if refused.status == 429 else super().headers(refused)

    def message(self, model: str, text: str, kind: Kind) -> Json:
        reasons = "gpt-oss" in model and kind != "null_content"
        content = self.content(text, "blocks" if reasons else kind)
        return {"content": content, "refusal": text} if kind == "refusal" else {"content": content}

    def list_models(self, models: list[str]) -> Json:
        return {"endpoints": [{"name": name, "state": {"ready": "READY"}, "task": "llm/v1/chat"} for name in models]}


class OAuthWire(DatabricksWire):
    """The token path of Databricks, which has its own errors."""

    def error(self, status: int, message: str) -> Json:
        code = {400: "invalid_request", 401: "invalid_client"}.get(status, "temporarily_unavailable")
        return {"error": code, "error_description": message}


class AnthropicWire(OpenAIWire):
    """Messages as Anthropic has them."""

    roles = names("user assistant")
    parameters = names(
        "model messages max_tokens system temperature top_p top_k stop_sequences stream output_config thinking "
        "metadata service_tier cache_control"
    )
    required = ("model", "messages", "max_tokens")
    unknown_parameter = "{}: Extra inputs are not permitted"
    codes = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }

    def key(self, headers: dict[str, str]) -> str:
        """From x-api-key, or as a bearer, which is what anthropic 2.11 sends."""
        require("anthropic-version" in headers, "anthropic-version: header is required")
        return headers.get("x-api-key") or super().key(headers)

    def bad_key(self, key: str) -> str:
        return "invalid x-api-key" if key else "x-api-key header is required"

    def check(self, body: Json) -> list[str]:
        texts = super().check(body)
        system = read_texts(body["system"], "system") if "system" in body else []
        require(all(text.strip() for text in system + texts), "text content blocks must contain non-whitespace text")
        return system + texts

    def check_parameters(self, body: Json) -> None:
        require(body.get("temperature", 1) <= 1, "temperature: Input should be less than or equal to 1")
        config = body.get("output_config", {})
        require(config.keys() <= {"format", "effort"}, "output_config: Extra inputs are not permitted")
        if "format" in config:
            form = config["format"]
            require(of(dict)(form) and form.keys() == {"type", "schema"}, "output_config.format: type and schema only")
            require(form["type"] == "json_schema", "output_config.format.type: Input should be 'json_schema'")
            check_schema(form["schema"], "output_config.format")

    def wants_json(self, body: Json) -> bool:
        return "format" in body.get("output_config", {})

    def error(self, status: int, message: str) -> Json:
        kind = self.codes.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def reply(self, received: Received, model: str, text: str, kind: Kind) -> Json:
        thinking = {"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmF0dXJl"}
        content = [] if kind == "null_content" else [{"type": "text", "text": text}]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [thinking, *content] if kind == "blocks" else content,
            "stop_reason": {"truncated": "max_tokens", "refusal": "refusal"}.get(kind, "end_turn"),
            "stop_details": {"type": "refusal", "category": None, "explanation": None} if kind == "refusal" else None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": received.input_tokens - received.cached_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": received.cached_tokens,
                "output_tokens": received.output_tokens,
            },
        }

    def list_models(self, models: list[str]) -> Json:
        same = {"type": "model", "created_at": "2025-01-01T00:00:00Z", "lifecycle": "active"}
        data = [{"id": name, "display_name": name, **same} for name in models]
        first, last = (models[0], models[-1]) if models else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}


OPENAI, ANTHROPIC, DATABRICKS, OAUTH = OpenAIWire(), AnthropicWire(), DatabricksWire(), OAuthWire()
CHAT: dict[str, OpenAIWire] = {
    "/v1/chat/completions": OPENAI,
    "/v1/messages": ANTHROPIC,
    "/serving-endpoints/chat/completions": DATABRICKS,
    "/ai-gateway/mlflow/v1/chat/completions": DATABRICKS,
}


# Server.


def parse(raw: bytes) -> Json | None:
    """The JSON object in a body, if it holds one."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def pick_wire(path: str, headers: dict[str, str]) -> OpenAIWire:
    if path in CHAT:
        return CHAT[path]
    if path.startswith("/v1/"):
        return ANTHROPIC if headers.keys() & {"x-api-key", "anthropic-version"} else OPENAI
    return OAUTH if path == "/oidc/v1/token" else DATABRICKS


@dataclass(eq=False)
class Settings:
    """What a test may change at any time; `reset` brings these values back."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    elsewhere: Behaviour = field(default_factory=Behaviour)
    """For the paths that are neither chat nor discovery; only status, latency, hang and drop count there."""
    answers: Callable[[str], tuple[str, str]] = lambda _: ("Politics", "Neutral")
    """Category and sentiment for all texts of a prompt, joined by line ends."""
    models: set[str] = field(default_factory=set)
    """Models that exist; empty for all."""
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    """Values by scope and key."""
    clients: dict[str, str] = field(default_factory=dict)
    """Secrets of OAuth clients by id; empty for all."""
    token_lifetime_s: int = 3600
    per_minute: int | None = None
    """Chat requests let through in a window, which begins with its first request."""
    window_s: float = 60


class LLMServer(Settings, LoopbackServer):
    """The server; listens while its context is open."""

    def __init__(self, api_key: str = "sk-test-0123456789") -> None:
        self.api_key = api_key
        self.reset()

    def reset(self) -> None:
        """Forgets all requests and tokens, and behaves as at the start."""
        Settings.__init__(self)
        self.requests: list[Received] = []
        self._script: deque[Behaviour] = deque()
        self._tokens = 0
        self._token_ends = 0.0
        self._window: tuple[float, int] = (-math.inf, 0)
        self.in_flight = self.most_in_flight = 0

    def script(self, behaviours: Iterable[Behaviour]) -> None:
        """Behaviours of the next chat requests, one each, in place of what is left of an earlier script."""
        self._script = deque(behaviours)

    def billed(self, model: str) -> Billed:
        rows = [
            row
            for row in list(self.requests)
            if row.path in CHAT and row.status == 200 and row.body and row.body.get("model") == model
        ]
        return Billed(
            sum(row.input_tokens for row in rows),
            sum(row.output_tokens for row in rows),
            sum(row.cached_tokens for row in rows),
            len(rows),
        )

    async def respond(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path, headers, parse(raw), raw)
        self.requests.append(received)
        behaviour = self._behaviour(request)
        await asyncio.sleep(behaviour.latency_s)
        if behaviour.drop and request.transport:
            request.transport.close()
        if behaviour.drop or behaviour.hang:
            await asyncio.Event().wait()
        wire = pick_wire(request.path, headers)
        try:
            if request.method == "POST" and request.path in CHAT:
                response = self._chat(wire, received, behaviour)
            else:
                response = self._other(wire, received, behaviour, request)
        except Refused as refused:
            body = wire.error(refused.status, refused.message)
            response = web.json_response(body, status=refused.status, headers=wire.headers(refused))
        received.status = response.status
        return response

    def _behaviour(self, request: web.Request) -> Behaviour:
        if request.path in CHAT:
            return self._script.popleft() if self._script else self.behaviour
        return Behaviour() if "/.well-known/" in request.path else self.elsewhere

    def _check_key(self, wire: OpenAIWire, headers: dict[str, str]) -> None:
        keys = {self.api_key}
        if isinstance(wire, DatabricksWire) and time.monotonic() < self._token_ends:
            keys.add(f"token-{self._tokens}")
        key = wire.key(headers)
        if key not in keys:
            raise Refused(401, wire.bad_key(key))

    def _fail(self, wire: OpenAIWire, received: Received, behaviour: Behaviour) -> None:
        status = behaviour.status
        if status != 200:
            message = wire.bad_key(wire.key(received.headers)) if status == 401 else f"The answer is {status}, as told."
            raise Refused(status, message, behaviour.retry_after)

    def _count(self) -> None:
        """Counts a request in the window; refuses it when the window is full."""
        now = time.monotonic()
        start, count = self._window
        if now - start >= self.window_s:
            start, count = now, 0
        if self.per_minute is not None and count >= self.per_minute:
            left_s = math.ceil(start + self.window_s - now)
            raise Refused(429, "Rate limit reached. Please try again later.", str(left_s))
        self._window = (start, count + 1)

    def _chat(self, wire: OpenAIWire, received: Received, behaviour: Behaviour) -> web.Response:
        self._check_key(wire, received.headers)
        body = received.body
        if body is None:
            raise Refused(400, "We could not parse the JSON body of your request.")
        prompt = "\n".join(wire.check(body))
        if self.models and body["model"] not in self.models:
            raise Refused(404, f"The model '{body['model']}' does not exist or you do not have access to it.")
        self._fail(wire, received, behaviour)
        self._count()
        if behaviour.kind == "not_json_body":
            return web.Response(text=NOT_JSON, content_type="text/html")
        draft = Draft(*self.answers(prompt), prompt, wire.wants_json(body))
        text = TEXTS.get(behaviour.kind, Draft.write)(draft)
        received.input_tokens = max(1, len(received.raw) // 4)
        received.output_tokens = max(1, len(text) // 4)
        received.cached_tokens = int(received.input_tokens * behaviour.cached_share)
        return web.json_response(wire.reply(received, body["model"], text, behaviour.kind))

    def _other(self, wire: OpenAIWire, received: Received, behaviour: Behaviour, request: web.Request) -> web.Response:
        route = f"{request.method} {request.path}"
        if route == "GET /.well-known/databricks-config":
            return web.json_response({"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "1", "cloud": "AWS"})
        if route == "GET /oidc/.well-known/oauth-authorization-server":
            paths = {"authorization_endpoint": "/oidc/v1/authorize", "token_endpoint": "/oidc/v1/token"}
            return web.json_response({name: self.url + path for name, path in paths.items()})
        if route == "POST /oidc/v1/token":
            self._fail(wire, received, behaviour)
            return web.json_response(self._issue_token(received))
        if route not in ("GET /v1/models", "GET /api/2.0/serving-endpoints", "GET /api/2.0/secrets/get"):
            raise Refused(404, f"No API found for '{route}'.")
        self._check_key(wire, received.headers)
        self._fail(wire, received, behaviour)
        if request.path == "/api/2.0/secrets/get":
            return web.json_response(self._read_secret(request.query.get("scope", ""), request.query.get("key", "")))
        return web.json_response(wire.list_models(sorted(self.models)))

    def _read_secret(self, scope: str, key: str) -> Json:
        if (scope, key) not in self.secrets:
            raise Refused(404, f"Secret {key} does not exist in scope {scope}.")
        return {"key": key, "value": base64.b64encode(self.secrets[scope, key].encode()).decode()}

    def _issue_token(self, received: Received) -> Json:
        form = parse_qs(received.raw.decode(errors="replace"))
        require(form.get("grant_type") == ["client_credentials"], "grant_type must be client_credentials")
        scheme, _, encoded = received.headers.get("authorization", "").partition(" ")
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            client = secret = ""
        if scheme != "Basic" or not client or (self.clients and self.clients.get(client) != secret):
            raise Refused(401, "Client authentication failed")
        self._tokens += 1
        self._token_ends = time.monotonic() + self.token_lifetime_s
        token = f"token-{self._tokens}"
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lifetime_s, "scope": "all-apis"}
