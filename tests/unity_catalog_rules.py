"""Unity Catalog as its documents describe it: securables, grants, registered models, versions, aliases, tags.

Rules and where they stand (read in November 2026):
    [M] docs.databricks.com/aws/en/machine-learning/manage-model-lifecycle (permissions, tags, limitations)
    [S] databricks-sdk 0.156, service/catalog.py: RegisteredModelsAPI, ModelVersionsAPI, GrantsAPI
    [T] docs.databricks.com/aws/en/database-objects/tags (constraints)
    [C] mlflow 3.17, store/_unity_catalog: what the client asks for, and which answers it understands
    [R] texts of real refusals, quoted in public repositories: `User does not have MANAGE on Routine or Model '...'`
What no document says is marked with (?).
"""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
EVERYONE = "account users"
MODEL_PRIVILEGES = ("EXECUTE", "APPLY_TAG", "CREATE_MODEL_VERSION", "MANAGE")
MAX_TAGS, KEY_CHARS, VALUE_CHARS, COMMENT_CHARS = 50, 255, 1000, 65535
FILTER = re.compile(r"\s*(name|run_id)\s*=\s*'([^']*)'\s*")
ALIAS = re.compile(r"^(?!latest$|v\d+$)[\w-]{1,255}$", re.IGNORECASE)
STATUS = {
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NOT_FOUND": 404,
    "RESOURCE_ALREADY_EXISTS": 400,
    "ALREADY_EXISTS": 409,
    "INVALID_PARAMETER_VALUE": 400,
    "TEMPORARILY_UNAVAILABLE": 503,
}


class RefusedError(Exception):
    """What the service does not do, with the code of its wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, STATUS[code]


@dataclass
class ModelVersion:
    number: str
    fields: Json
    tags: dict[str, str]
    status: str = "PENDING_REGISTRATION"
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Model:
    """A registered model, or a prompt, which is kept in the same way."""

    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    made: int = 0


class Catalog:
    """Everything that is governed. `root` owns the catalog `main` and the schema `main.news`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.administrator = "admins"
        self.groups: dict[str, list[str]] = {}
        self.owners: dict[str, str] = {"main": "root", "main.news": "root"}
        self.grants: dict[tuple[str, str], set[str]] = {}
        self.models: dict[str, Model] = {}
        self.prompts: dict[str, Model] = {}

    # Who may do what.

    def grant(self, principal: str, securable: str, *privileges: str) -> None:
        self.grants.setdefault((securable, principal), set()).update(privileges)

    def principals(self, user: str) -> list[str]:
        return [user, *self.groups.get(user, ()), EVERYONE]

    def owns(self, user: str, securable: str) -> bool:
        """[S] a metastore administrator may do what an owner may."""
        return bool({self.owners.get(securable), self.administrator} & {*self.principals(user)})

    def holds(self, user: str, securable: str, privilege: str) -> bool:
        """Granted on it or above it; ALL PRIVILEGES does not hold MANAGE [S: Privilege]."""
        parts = securable.split(".")
        held: set[str] = set()
        for depth in range(1, len(parts) + 1):
            for principal in self.principals(user):
                held |= self.grants.get((".".join(parts[:depth]), principal), set())
        return privilege in held or ("ALL_PRIVILEGES" in held and privilege != "MANAGE")

    def reach(self, user: str, name: str) -> None:
        """[S] all operations take USE_CATALOG and USE_SCHEMA, of the model's owner too."""
        self.reach_place(user, ".".join(split(name)[:2]))

    def reach_place(self, user: str, place: str) -> None:
        """A catalog, or a schema and its catalog."""
        catalog, _, schema = place.partition(".")
        for securable, kind in ((catalog, "CATALOG"), (place, "SCHEMA"))[: 2 if schema else 1]:
            if securable not in self.owners:
                raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"{kind.title()} '{securable}' does not exist.")
            if not (self.owns(user, securable) or self.holds(user, securable, f"USE_{kind}")):
                raise RefusedError(
                    "PERMISSION_DENIED", f"User does not have USE {kind} on {kind.title()} '{securable}'."
                )

    def need(self, user: str, name: str, *privileges: str) -> Model:
        """The model, where the user owns it or has one of the privileges on it.

        [M] owner, or EXECUTE to read, APPLY TAG for tags, CREATE MODEL VERSION for versions; the owner alone for
        aliases and descriptions. [R] the refusals name MANAGE there, so whoever has that is let through as well.
        """
        self.reach(user, name)
        model = self.models.get(name)
        if model is None:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Registered Model '{name}' does not exist.")
        if not self.owns(user, name) and not any(self.holds(user, name, one) for one in privileges):
            named = privileges[0].replace("_", " ")
            raise RefusedError("PERMISSION_DENIED", f"User does not have {named} on Routine or Model '{name}'.")
        return model

    # Registered models.

    def create_model(self, user: str, body: Json) -> Json:
        name = body["name"]
        self.reach(user, name)
        schema = name.rpartition(".")[0]
        if not (self.owns(user, schema) or self.holds(user, schema, "CREATE_MODEL")):
            raise RefusedError("PERMISSION_DENIED", f"User does not have CREATE MODEL on Schema '{schema}'.")
        if name in self.models:
            raise RefusedError("RESOURCE_ALREADY_EXISTS", f"Registered Model '{name}' already exists.")
        tags = checked_tags({}, body.get("tags", ()))
        self.models[name] = Model(checked_comment(body.get("description", "")), tags)
        self.owners[name] = user
        return self.shown_model(name)

    def shown_model(self, name: str, *, searched: bool = False) -> Json:
        """[C] found by search, models and versions come without tags and aliases."""
        model = self.models[name]
        shown: Json = {"name": name, "user_id": self.owners[name], "description": model.description}
        if not searched:
            shown["tags"] = pairs(model.tags)
            shown["aliases"] = [{"alias": alias, "version": number} for alias, number in model.aliases.items()]
        return shown

    def visible_models(self, user: str) -> Iterator[str]:
        for name in self.models:
            try:
                self.need(user, name, "EXECUTE")
            except RefusedError:
                continue
            yield name

    # Versions.

    def create_version(self, user: str, body: Json) -> Json:
        name = body["name"]
        model = self.need(user, name, "CREATE_MODEL_VERSION", "MANAGE")
        tags = checked_tags({}, body.get("tags", ()))
        if tags:  # (?) whether CREATE MODEL VERSION alone allows tags
            self.need(user, name, "APPLY_TAG", "MANAGE")
        checked_comment(body.get("description", ""))
        model.made += 1  # numbers are not used again (?)
        number = str(model.made)
        kept = {key: body[key] for key in ("source", "run_id", "description", "model_id") if body.get(key)}
        model.versions[number] = ModelVersion(number, {**kept, "user_id": user}, tags)
        return self.shown_version(name, number)

    def version(self, user: str, name: str, number: str, *privileges: str) -> ModelVersion:
        found = self.need(user, name, *privileges).versions.get(str(number))
        if found is None:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Model Version '{name}' version {number} does not exist.")
        return found

    def shown_version(self, name: str, number: str, *, searched: bool = False) -> Json:
        version, aliases = self.models[name].versions[number], self.models[name].aliases
        shown: Json = {"name": name, "version": number, "status": version.status, **version.fields}
        if not searched:
            shown["tags"] = pairs(version.tags)
            shown["aliases"] = [{"alias": alias, "version": number} for alias in aliases if aliases[alias] == number]
        return shown

    def finalize(self, user: str, name: str, number: str) -> Json:
        """[M] versions must have a signature."""
        version = self.version(user, name, number, "CREATE_MODEL_VERSION", "MANAGE")
        if b"\nsignature:" not in version.files.get("MLmodel", b""):
            version.status = "FAILED_REGISTRATION"
            raise RefusedError("INVALID_PARAMETER_VALUE", "Model version has no MLmodel file with a signature.")
        version.status = "READY"
        return self.shown_version(name, number)

    def found_versions(self, user: str, text: str) -> list[Json]:
        """[M] exact equality only, of the name or the run; [S] in no particular order."""
        match = FILTER.fullmatch(text or "")
        if match is None:
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Unsupported filter query: {text}")
        names = [match[2]] if match[1] == "name" else list(self.visible_models(user))
        if match[1] == "name":
            self.need(user, match[2], "EXECUTE")
        shown = [self.shown_version(name, one, searched=True) for name in names for one in self.models[name].versions]
        return shown if match[1] == "name" else [one for one in shown if one.get("run_id") == match[2]]

    def delete_version(self, user: str, name: str, number: str) -> None:
        """[S] aliases assigned to the version are deleted with it; nothing forbids it while it has some."""
        self.version(user, name, number, "MANAGE")
        model = self.models[name]
        del model.versions[number]
        model.aliases = {alias: holder for alias, holder in model.aliases.items() if holder != number}

    # Aliases.

    def set_alias(self, user: str, name: str, alias: str, number: str) -> None:
        self.version(user, name, number, "MANAGE")
        if not ALIAS.match(alias):
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Invalid alias name: '{alias}'.")
        self.models[name].aliases[alias] = str(number)

    def aliased(self, user: str, name: str, alias: str) -> Json:
        number = self.need(user, name, "EXECUTE").aliases.get(alias)
        if number is None:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Registered model alias '{alias}' does not exist.")
        return self.shown_version(name, number)


def split(name: str) -> tuple[str, str, str]:
    """[C] the client looks for the words "specify all three levels"."""
    levels = name.split(".")
    if len(levels) != 3 or not all(level and not re.search(r"[\s/\x00-\x1f]", level) for level in levels):
        raise RefusedError(
            "INVALID_PARAMETER_VALUE", f"'{name}' is not a valid name; specify all three levels: catalog.schema.model"
        )
    return levels[0], levels[1], levels[2]


def pairs(tags: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def checked_tags(tags: dict[str, str], more: Any) -> dict[str, str]:
    """[T] at most 50, key at most 255 characters without . , - = / :, value at most 1000, no spaces at either end."""
    tags = tags | {tag["key"]: tag.get("value", "") for tag in more}
    for key, value in tags.items():
        if not key or len(key) > KEY_CHARS or re.search(r"[.,\-=/:]", key) or key != key.strip(" "):
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Tag key '{key}' is not valid.")
        if len(value) > VALUE_CHARS or value != value.strip(" "):
            raise RefusedError("INVALID_PARAMETER_VALUE", f"The value of tag '{key}' is not valid: {value!r}")
    if len(tags) > MAX_TAGS:
        raise RefusedError("INVALID_PARAMETER_VALUE", f"At most {MAX_TAGS} tags can be assigned.")
    return tags


def checked_comment(text: str) -> str:
    if len(text) > COMMENT_CHARS:
        raise RefusedError("INVALID_PARAMETER_VALUE", "The comment is too long.")
    return text
