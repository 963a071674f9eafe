"""The OpenAPI document: every route, what it takes, and each answer that it really gives.

`/traffic` is left out: its token stands in a file for 'news-classifier serve traffic' alone.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version as installed_version
from typing import Any

from serving.app.examples import ANSWERS, LINES, REQUESTS
from serving.app.problems import MEDIA_TYPE as PROBLEM
from serving.app.routes import EVENTS, INVOCATIONS, JSON, METRICS, NDJSON, RESPONSES
from serving.app.schemas import schemas
from serving.app.settings import ServingSettings

Node = dict[str, Any]
DESCRIPTION = """\
Classifies news articles: category and sentiment. Every answer of a route has the header X-Request-Id; errors are
RFC 9457 problem details. What is no HTTP at all is refused before that, with 400, 408 or 431 and the same body."""
PROBLEMS: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON in UTF-8, or ended early.",
    HTTPStatus.UNAUTHORIZED: "There is no key, or it is not one of this server's.",
    HTTPStatus.FORBIDDEN: "The server may not be asked under this name (Host), or from this page (Origin).",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too long, or has too many articles.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body's Content-Type is another one.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body has another shape, or its only article is none.",
    HTTPStatus.TOO_MANY_REQUESTS: "This key has made too many requests; come back when Retry-After says.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The server is busy, or nobody can answer; come back when Retry-After says.",
    HTTPStatus.GATEWAY_TIMEOUT: "There was no answer in time.",
}
FOR_KEYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
FOR_BODIES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
HEADERS: Mapping[str, Node] = {
    "X-Request-Id": {
        "description": "The caller's, if it is up to 64 letters, digits and _.:- and begins with one of the first two.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"},
    },
    "X-Model-Version": {
        "description": "Who answered: a version, or several with commas between; of a stream, who may.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "When to come back, in seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
}
OF_STATUS = {
    HTTPStatus.UNAUTHORIZED: ["WWW-Authenticate"],
    HTTPStatus.TOO_MANY_REQUESTS: ["Retry-After"],
    HTTPStatus.SERVICE_UNAVAILABLE: ["Retry-After"],
}
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "X-API-Key: KEY"},
}
REQUEST_ID: Node = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Returned with the answer and kept beside the predictions; one is made where it is none.",
    "schema": {"type": "string"},
}

AGENT_TAKES = ["AgentRequest", "RequestInInputs", "RequestInRecords", "RequestInSplit"]
AGENT_GIVES = ["AgentResponse", "Predictions"]
EVENT: Node = {
    "type": "object",
    "description": "One of the server-sent events; the last one's data is [DONE].",
    "properties": {"data": {"type": "string", "description": "JSON of an event as OpenAI's responses have them."}},
    "required": ["data"],
}


def document(settings: ServingSettings) -> Node:
    """The document of a server with these settings."""
    has_keys = bool(settings.api_keys)
    statuses = [status for status in PROBLEMS if has_keys or status not in FOR_KEYS]
    security: Node = {"security": [{name: []} for name in KEYS]} if has_keys else {}
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "News classifier",
            "version": installed_version("news-classifier-agent"),
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": {**asked(settings), **shown(settings)},
        "components": {
            "schemas": schemas(settings.limits.articles),
            "headers": dict(HEADERS),
            "parameters": {"RequestId": REQUEST_ID},
            "responses": {status.name: problem(status) for status in statuses},
            **({"securitySchemes": KEYS} if has_keys else {}),
        },
    }
    return found | security


def asked(settings: ServingSettings) -> Node:
    """The routes that answer articles."""
    limits = settings.limits
    size = f"At most {limits.articles:,} articles and {limits.body_mb:g} MB."
    plain = {
        JSON: content(either("PlainArticle", "ArticleList"), REQUESTS["classify"]),
        NDJSON: content({"type": "string", "description": "One PlainArticle in each line."}, {"lines": LINES}),
    }
    answers = {
        JSON: content(either("Classification", "ClassificationList"), ANSWERS["classify"]),
        NDJSON: content({"type": "string", "description": "One Classification in each line, as soon as it is there."}),
    }
    paths = {
        "/classify": post(
            "classify",
            "Labels of one article or of several",
            f"Lines are answered with lines; so is everything where the header Accept names {NDJSON}. {size}",
            plain,
            answers,
            settings,
        )
    }
    for path in (*INVOCATIONS, *RESPONSES):
        kind = "OpenAI" if path in RESPONSES else "Agent"
        takes, gives = (["OpenAIRequest"], ["OpenAIResponse"]) if path in RESPONSES else (AGENT_TAKES, AGENT_GIVES)
        paths[path] = post(
            path.replace("{name}", "any").strip("/").replace("/", "_").replace("-", "_"),
            "As OpenAI's Responses API" if kind == "OpenAI" else "As MLflow's scoring server",
            f"An article that is none has an `error` in its answer. {size}",
            {JSON: content(either(*takes), REQUESTS[kind])},
            {JSON: content(either(*gives), ANSWERS[kind]), EVENTS: content(EVENT)},
            settings,
        )
        if "{name}" in path:
            name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            paths[path]["parameters"] = [{**name, "description": "Any; this server has one model."}]
    return paths


def shown(settings: ServingSettings) -> Node:
    """The routes that show something."""
    busy = [HTTPStatus.SERVICE_UNAVAILABLE]
    text = {"type": "string"}
    alive = {JSON: content(ref("Alive"))}
    ready = {JSON: content(ref("Readiness"), ANSWERS["ready"])}
    paths = {
        "/ping": get("ping", "Whether the server runs", alive, settings, is_open=True),
        "/health": get("health", "Whether the server runs", alive, settings, is_open=True),
        "/ready": get("ready", "Whether it can answer, and who does", ready, settings, is_open=True),
        "/version": get("version", "Which version answers", {JSON: content(ref("VersionFacts"))}, settings, busy),
        "/metrics": get("metrics", "Figures for Prometheus", {METRICS: content(text)}, settings),
        "/openapi.json": get("openapi", "This document", {JSON: content({"type": "object"})}, settings),
        "/docs": get("docs", "This document for people", {"text/html; charset=utf-8": content(text)}, settings),
    }
    unready = {"description": "Nobody can answer yet.", "headers": headers(["X-Request-Id"]), "content": ready}
    paths["/ready"]["get"]["responses"]["503"] = unready
    return paths


def post(name: str, summary: str, description: str, takes: Node, answers: Node, settings: ServingSettings) -> Node:
    """A route that answers articles."""
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "parameters": [{"$ref": "#/components/parameters/RequestId"}],
            "requestBody": {"required": True, "content": takes},
            "responses": {
                "200": {
                    "description": "Answers, in the order of the articles.",
                    "headers": headers(["X-Request-Id", "X-Model-Version"]),
                    "content": answers,
                },
                **problems(FOR_BODIES, settings),
            },
        }
    }


def get(
    name: str,
    summary: str,
    answers: Node,
    settings: ServingSettings,
    statuses: Iterable[HTTPStatus] = (),
    *,
    is_open: bool = False,
) -> Node:
    """A route that shows something; HEAD is answered, too."""
    operation = {
        "operationId": name,
        "summary": summary,
        "parameters": [{"$ref": "#/components/parameters/RequestId"}],
        "responses": {
            "200": {"description": summary, "headers": headers(["X-Request-Id"]), "content": answers},
            **problems(statuses, settings, is_open=is_open),
        },
    }
    return {"get": operation | ({"security": []} if is_open and settings.api_keys else {})}


def problems(statuses: Iterable[HTTPStatus], settings: ServingSettings, *, is_open: bool = False) -> Node:
    """Refusals of a route, those that every route has included."""
    needs_key = settings.api_keys and not is_open
    found = {*statuses, HTTPStatus.FORBIDDEN, *(FOR_KEYS if needs_key else ())}
    return {str(int(status)): {"$ref": f"#/components/responses/{status.name}"} for status in sorted(found)}


def problem(status: HTTPStatus) -> Node:
    """A refusal."""
    return {
        "description": PROBLEMS[status],
        "headers": headers(["X-Request-Id", *OF_STATUS.get(status, [])]),
        "content": {PROBLEM: content(ref("ProblemDetails"))},
    }


def headers(names: Iterable[str]) -> Node:
    """Headers of an answer."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def content(schema: Node, examples: Mapping[str, object] | None = None) -> Node:
    """A body."""
    found: Node = {"schema": schema}
    if examples:
        found["examples"] = {name: {"value": value} for name, value in examples.items()}
    return found


def ref(name: str) -> Node:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def either(*names: str) -> Node:
    """One schema or another."""
    return {"anyOf": [ref(name) for name in names]} if names[1:] else ref(names[0])
