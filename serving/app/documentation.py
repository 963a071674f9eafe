"""/openapi.json, and /docs: the same for people, one page without scripts that fetches nothing."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.app.settings import ServingSettings

TEMPLATES = Path(__file__).parent / "templates"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def documentation_routes(settings: ServingSettings) -> list[Route]:
    """The routes that describe the others; what they show is made when somebody asks for the first time."""

    @cache
    def found() -> dict[str, Any]:
        from serving.app.openapi import document  # takes a moment

        return document(settings)

    @cache
    def page() -> str:
        return render(found())

    async def openapi(request: Request) -> Response:
        return Response(to_json(found()), media_type="application/json")

    async def docs(request: Request) -> Response:
        return Response(page(), headers={"content-security-policy": POLICY}, media_type="text/html")

    return [Route("/openapi.json", openapi, methods=["GET"]), Route("/docs", docs, methods=["GET"])]


def render(found: dict[str, Any]) -> str:
    """The page of a document."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # not needed before somebody reads

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json": shown_json, "kind": kind, "answer": lambda answer: resolved(found, answer)}
    environment.globals["operations"] = list(operations(found))
    return environment.get_template("docs.html").render(found)


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every route with its method."""
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                yield path, method.upper(), operation


def resolved(found: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in node:
        *place, name = node["$ref"].removeprefix("#/").split("/")
        parent = found
        for step in place:
            parent = parent[step]
        node = parent[name]
    return node


def shown_json(value: Any, indent: int | None = 2) -> str:
    """JSON for a page; a text that is none stays as it is."""
    return value if isinstance(value, str) else to_json(value, indent=indent).decode()


def kind(schema: dict[str, Any]) -> str:
    """In a few words what a schema allows."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema or "enum" in schema:
        return " or ".join(shown_json([value], None)[1:-1] for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {kind(schema['items']) if schema.get('items') else 'anything'}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}.get(
        schema.get("type", "anything"), str(schema.get("type", "anything"))
    )
