"""MLflow's prompt registry in Unity Catalog: prompts are kept as functions, and making one takes CREATE FUNCTION.

[P] docs.databricks.com/gcp/en/mlflow3/genai/prompt-version-mgmt/prompt-registry
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.unity_catalog_rules import Json, Model, ModelVersion, RefusedError, checked_tags, pairs

if TYPE_CHECKING:
    from tests.unity_catalog_server import UnityCatalogServer as Server

UC = "/api/2.0/mlflow/unity-catalog"
PROMPTS = f"{UC}/prompts"


def may_write(s: "Server", user: str, name: str) -> None:
    s.catalog.reach(user, name)
    schema = name.rpartition(".")[0]
    if not (s.catalog.owns(user, schema) or s.catalog.holds(user, schema, "CREATE_FUNCTION")):
        raise RefusedError("PERMISSION_DENIED", f"User does not have CREATE FUNCTION on Schema '{schema}'.")


def found(s: "Server", user: str, name: str) -> Model:
    s.catalog.reach(user, name)
    if name not in s.catalog.prompts:
        raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Prompt '{name}' does not exist.")
    return s.catalog.prompts[name]


def create(s: "Server", user: str, body: Json) -> Json:
    name = body["name"]
    may_write(s, user, name)
    if name in s.catalog.prompts:
        raise RefusedError("ALREADY_EXISTS", f"Prompt '{name}' already exists.")
    asked = body.get("prompt", {})
    s.catalog.prompts[name] = Model(asked.get("description", ""), checked_tags({}, asked.get("tags", ())))
    return {"name": name}


def get(s: "Server", user: str, body: Json, name: str) -> Json:
    return {"name": name, "tags": pairs(found(s, user, name).tags)}


def create_version(s: "Server", user: str, body: Json, name: str) -> Json:
    may_write(s, user, name)
    prompt, asked = found(s, user, name), body["prompt_version"]
    number = str(len(prompt.versions) + 1)
    kept = {"template": asked["template"], "description": asked.get("description", "")}
    # Tags that MLflow adds itself begin with an underscore and are not held to the limits.
    checked_tags({}, [tag for tag in asked.get("tags", ()) if not tag["key"].startswith("_")])
    prompt.versions[number] = ModelVersion(number, kept, {tag["key"]: tag["value"] for tag in asked.get("tags", ())})
    return shown(s, user, body, name, number)


def shown(s: "Server", user: str, body: Json, name: str, number: str) -> Json:
    prompt = found(s, user, name)
    if number not in prompt.versions:
        raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Prompt '{name}' version {number} does not exist.")
    version = prompt.versions[number]
    aliases = [{"alias": alias, "version": one} for alias, one in prompt.aliases.items() if one == number]
    return {"name": name, "version": number, "tags": pairs(version.tags), "aliases": aliases, **version.fields}


def search(s: "Server", user: str, body: Json, name: str) -> Json:
    return {"prompt_versions": [shown(s, user, body, name, number) for number in found(s, user, name).versions]}


def set_alias(s: "Server", user: str, body: Json, name: str, alias: str) -> None:
    may_write(s, user, name)
    shown(s, user, body, name, str(body["version"]))
    found(s, user, name).aliases[alias] = str(body["version"])


def aliased(s: "Server", user: str, body: Json, name: str, alias: str) -> Json:
    return shown(s, user, body, name, found(s, user, name).aliases.get(alias, "none"))


PROMPT_ROUTES: list[tuple[str, str, Callable[..., Json | None]]] = [
    ("POST", PROMPTS, create),
    ("GET", f"{PROMPTS}/([^/]+)", get),
    ("POST", f"{PROMPTS}/([^/]+)/versions", create_version),
    ("POST", f"{PROMPTS}/([^/]+)/versions/search", search),
    ("GET", f"{PROMPTS}/([^/]+)/versions/by-alias/(.+)", aliased),
    ("GET", f"{PROMPTS}/([^/]+)/versions/(\\d+)", shown),
    ("POST", f"{PROMPTS}/([^/]+)/aliases/(.+)", set_alias),
]
