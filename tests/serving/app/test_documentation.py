"""The description is valid OpenAPI, and what the server really answers fits it. `make schemathesis` tries far more."""

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator

from serving.app.openapi import document
from serving.app.settings import ApiKey, ServingSettings
from tests.serving.app.conftest import PlainApp

TEXTS = ("text/", "application/x-ndjson")
KEYED = ServingSettings(api_keys=(ApiKey(name="desk", sha256="0" * 64),))
REFUSED: list[tuple[str, str, bytes | None, dict[str, str], int]] = [
    ("POST", "/classify", b"{", {}, 400),
    ("POST", "/classify", b"{}", {}, 422),
    ("POST", "/classify", b'{"title": 5}', {}, 422),
    ("POST", "/classify", b"{}", {"Content-Type": "text/plain"}, 415),
    ("POST", "/classify", json.dumps({"articles": [0] * 1001}).encode(), {}, 413),
    ("POST", "/classify", b"1\n" * 1001, {"Content-Type": "application/x-ndjson"}, 413),
    ("POST", "/invocations", b"[]", {}, 422),
    ("POST", "/invocations", b'{"input": [5]}', {}, 422),
    ("POST", "/invocations", b'{"input": "text", "stream": "yes"}', {}, 422),
    ("POST", "/responses", b'{"input": "text", "model": 5}', {}, 422),
    ("GET", "/ready", None, {"Host": "elsewhere.example"}, 403),
]


@pytest.fixture(scope="module")
def described(plain_app: PlainApp) -> dict[str, Any]:
    with urllib.request.urlopen(f"{plain_app.url}/openapi.json") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def send(
    app: PlainApp, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    given = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(app.url + path.replace("{name}", "news"), body, given, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as err:
        return err.code, dict(err.headers), err.read()


def check(described: dict[str, Any], path: str, method: str, answer: tuple[int, dict[str, str], bytes]) -> None:
    """Fails where an answer is not one of those that are described."""
    status, headers, body = answer
    found = resolved(described, described["paths"][path][method]["responses"][str(status)])
    for name, header in found["headers"].items():
        schema = resolved(described, header)["schema"]
        validate(
            described, schema, int(headers[name.lower()]) if schema["type"] == "integer" else headers[name.lower()]
        )
    media_type = headers["content-type"]
    schema = found["content"][media_type]["schema"]
    validate(described, schema, body.decode() if media_type.startswith(TEXTS) else json.loads(body))


def resolved(described: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        _, kind, name = node["$ref"].removeprefix("#/").split("/")
        found: dict[str, Any] = described["components"][kind][name]
        return found
    return node


def validate(described: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    Draft202012Validator({**schema, "components": described["components"]}).validate(value)


@pytest.mark.parametrize("settings", [ServingSettings(), KEYED], ids=["open", "keys"])
def test_the_description_is_openapi(settings: ServingSettings) -> None:
    found = document(settings)
    OpenAPI.model_validate(found)
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for kind, name in re.findall(r'"#/components/(\w+)/([\w-]+)"', json.dumps(found)):
        assert name in found["components"][kind]
    operations = [
        operation for path in found["paths"].values() for operation in path.values() if "responses" in operation
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


def test_every_example_fits_its_schema() -> None:
    found = document(ServingSettings())
    bodies = [
        body
        for path in found["paths"].values()
        for operation in path.values()
        if "responses" in operation
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for body in part.get("content", {}).values()
    ]
    examples = [(body["schema"], one["value"]) for body in bodies for one in body.get("examples", {}).values()]
    assert len(examples) > 20
    for schema, value in examples:
        validate(found, schema, value)


def test_keys_are_described_where_they_are_needed() -> None:
    classify, ready = (document(KEYED)["paths"][path] for path in ("/classify", "/ready"))
    assert {"401", "429"} <= classify["post"]["responses"].keys()
    assert ready["get"]["security"] == []
    assert "401" not in ready["get"]["responses"]
    assert "401" not in document(ServingSettings())["paths"]["/classify"]["post"]["responses"]


def test_every_answer_to_an_example_is_described(plain_app: PlainApp, described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method in methods.keys() & {"get", "post"}:
            takes = methods[method].get("requestBody", {"content": {"none/none": {"examples": {"": {"value": None}}}}})
            for media_type, body in takes["content"].items():
                for example in body["examples"].values():
                    value = example["value"]
                    sent = value.encode() if isinstance(value, str) else json.dumps(value).encode() if value else None
                    answer = send(plain_app, method.upper(), path, sent, {"Content-Type": media_type})
                    assert answer[0] == 200
                    check(described, path, method, answer)


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSED)
def test_every_refusal_is_described(
    plain_app: PlainApp,
    described: dict[str, Any],
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = send(plain_app, method, path, body, headers)
    assert answer[0] == status
    check(described, path, method.lower(), answer)


def test_the_events_of_a_stream_are_those_of_a_whole_answer(plain_app: PlainApp, described: dict[str, Any]) -> None:
    body = json.dumps({"input": "Rowers win the cup.", "stream": True}).encode()
    status, headers, stream = send(plain_app, "POST", "/responses", body)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *events, end = [event.removeprefix("data: ") for event in stream.decode().split("\n\n") if event]
    assert end == "[DONE]"
    last = json.loads(events[-1])
    assert last["type"] == "response.completed"
    validate(described, {"$ref": "#/components/schemas/OpenAIResponse"}, last["response"])


def test_the_page_shows_everything_and_fetches_nothing(plain_app: PlainApp, described: dict[str, Any]) -> None:
    status, headers, body = send(plain_app, "GET", "/docs")
    page = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    for path in described["paths"]:
        assert f" {path}</code></h3>" in page
    for name in described["components"]["schemas"]:
        assert f"<h3>{name}</h3>" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!#|/openapi.json\"|data:,)", page)
