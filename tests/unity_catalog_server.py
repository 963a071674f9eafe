"""A Databricks workspace on loopback with Unity Catalog's model registry: the paths of MLflow 3.17 and databricks-sdk.

The rules are those of `tests/unity_catalog_rules.py`; the caller is known by the token. `refusals` holds what was
refused, so that a test can say that nothing was.
"""

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.unity_catalog_prompts import PROMPT_ROUTES, UC
from tests.unity_catalog_rules import (
    STATUS,
    Catalog,
    Json,
    ModelVersion,
    RefusedError,
    checked_comment,
    checked_tags,
)

FILES = "/api/2.0/fs/files/Models"
FOLDERS = "/api/2.0/fs/directories/Models"
PAGE = 2
Handle = Callable[..., Json | bytes | None]


class UnityCatalogServer:
    """The workspace. `sdk_files` says whether files go through the Files API or through presigned addresses."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.sdk_files = False
        self.uploads_fail = False
        self.refusals: list[str] = []
        self.calls: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, payload = server.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

            def log_message(self, *words: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()  # seconds until it sees a shutdown
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, url: str, authorization: str, raw: bytes) -> tuple[int, bytes]:
        """Status and body of one answer."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        try:
            with self.catalog.lock:
                if path.startswith("/presigned/"):  # whoever has such an address may use it
                    found: Any = self.file(method, path.removeprefix("/presigned/"), raw)
                elif path == "/.well-known/databricks-config":
                    found = {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "1", "cloud": "AWS"}
                else:
                    user = authorization.removeprefix("Bearer token-of-")
                    if not user or user == authorization:
                        raise RefusedError("UNAUTHENTICATED", "Credential was not sent or was of an unsupported type.")
                    binary = path.startswith(FILES)
                    body = dict(parse_qsl(parts.query)) | ({} if binary or not raw else json.loads(raw))
                    self.calls.append(f"{method} {path}")
                    found = self.dispatch(method, path, user, body, raw)
        except RefusedError as err:
            if path.startswith(UC):
                self.refusals.append(f"{err.code}: {err}")
            return STATUS[err.code], json.dumps({"error_code": err.code, "message": str(err)}).encode()
        return 200, found if isinstance(found, bytes) else json.dumps(found or {}).encode()

    def dispatch(self, method: str, path: str, user: str, body: Json, raw: bytes) -> Json | bytes | None:
        """What the path stands for."""
        for verb, pattern, handle in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return handle(self, user, body, *match.groups(), **({"raw": raw} if pattern.startswith(FILES) else {}))
        raise RefusedError("NOT_FOUND", f"No API found for '{method} {path}'")

    def page(self, key: str, rows: list[Json], body: Json) -> Json:
        """[S] a page may be empty although more follow; so the first one is."""
        token = body.get("page_token")
        if not token:
            return {key: [], "next_page_token": "0"}
        end = int(token) + PAGE
        return {key: rows[int(token) : end], **({"next_page_token": str(end)} if end < len(rows) else {})}

    # Files of versions.

    def place(self, path: str) -> tuple[ModelVersion, str, str]:
        """Version, name of its model, and what follows in a path catalog/schema/model/version/rest."""
        catalog, schema, model, number, *rest = path.strip("/").split("/")
        name = f"{catalog}.{schema}.{model}"
        return self.catalog.models[name].versions[number], name, "/".join(rest)

    def may_touch(self, user: str, path: str, *, write: bool) -> None:
        version, name, _ = self.place(path)
        if write:
            self.catalog.need(user, name, "CREATE_MODEL_VERSION", "MANAGE")
        else:
            self.catalog.need(user, name, "EXECUTE")
            if version.status != "READY":  # [S] only versions in READY status can be loaded
                raise RefusedError("INVALID_PARAMETER_VALUE", f"Version {version.number} is {version.status}.")

    def file(self, method: str, path: str, raw: bytes) -> bytes | None:
        version, _, rest = self.place(path)
        if method == "PUT":
            if self.uploads_fail:
                raise RefusedError("PERMISSION_DENIED", "The address has expired.")
            version.files[rest] = raw
            return None
        if rest not in version.files:
            raise RefusedError("NOT_FOUND", f"File {path} does not exist.")
        return version.files[rest]

    def listing(self, path: str) -> Json:
        version, _, rest = self.place(path)
        inside = [PurePosixPath(file) for file in version.files if not rest or file.startswith(f"{rest}/")]
        if rest and not inside:
            raise RefusedError("NOT_FOUND", f"Folder {path} does not exist.")
        depth = len(PurePosixPath(rest).parts)
        top = "/Models/" + "/".join(path.strip("/").split("/")[:4])
        found: dict[str, Json] = {}
        for file in inside:
            shown = PurePosixPath(*file.parts[: depth + 1])
            is_file = shown == file
            size = len(version.files[str(file)]) if is_file else 0
            found[str(shown)] = {"path": f"{top}/{shown}", "is_directory": not is_file, "file_size": size}
        return {"contents": list(found.values())}

    # What databricks-sdk asks.

    def effective(self, user: str, securable: str, principal: str) -> Json:
        """One's own grants with those of one's groups, as observed [R]; those of others for who may manage."""
        catalog = self.catalog
        if principal != user and not (catalog.owns(user, securable) or catalog.holds(user, securable, "MANAGE")):
            raise RefusedError("PERMISSION_DENIED", f"User does not have READ METADATA on '{securable}'.")
        parts = securable.split(".")
        found = []
        for one in catalog.principals(user) if principal == user else [principal]:
            for depth in range(1, len(parts) + 1):
                held = sorted(catalog.grants.get((".".join(parts[:depth]), one), ()))
                if held:
                    found.append({"principal": one, "privileges": [{"privilege": name} for name in held]})
        return {"privilege_assignments": found}

    def owned(self, user: str, securable: str) -> Json:
        if securable.count(".") == 2:
            self.catalog.need(user, securable, "EXECUTE")
        else:
            self.catalog.reach_place(user, securable)
        return {"name": securable.rpartition(".")[2], "full_name": securable, "owner": self.catalog.owners[securable]}


Server = UnityCatalogServer


def get_model(s: Server, user: str, body: Json) -> Json:
    s.catalog.need(user, body["name"], "EXECUTE")
    return {"registered_model": s.catalog.shown_model(body["name"])}


def update_model(s: Server, user: str, body: Json) -> Json:
    s.catalog.need(user, body["name"], "MANAGE").description = checked_comment(body.get("description", ""))
    return {"registered_model": s.catalog.shown_model(body["name"])}


def delete_model(s: Server, user: str, body: Json) -> None:
    s.catalog.need(user, body["name"], "MANAGE")
    del s.catalog.models[body["name"]], s.catalog.owners[body["name"]]


def search_models(s: Server, user: str, body: Json) -> Json:
    rows = [s.catalog.shown_model(name, searched=True) for name in s.catalog.visible_models(user)]
    return s.page("registered_models", rows, body)


def update_version(s: Server, user: str, body: Json) -> Json:
    text = checked_comment(body.get("description", ""))
    s.catalog.version(user, body["name"], body["version"], "MANAGE").fields["description"] = text
    return {"model_version": s.catalog.shown_version(body["name"], str(body["version"]))}


def get_version(s: Server, user: str, body: Json) -> Json:
    s.catalog.version(user, body["name"], body["version"], "EXECUTE")
    return {"model_version": s.catalog.shown_version(body["name"], str(body["version"]))}


def credentials(s: Server, user: str, body: Json) -> Json:
    path = f"{body['name'].replace('.', '/')}/{body['version']}"
    s.catalog.version(user, body["name"], body["version"], "EXECUTE", "CREATE_MODEL_VERSION", "MANAGE")
    s.may_touch(user, path, write=body["operation"] == "MODEL_VERSION_OPERATION_READ_WRITE")
    return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}


def tag_version(s: Server, user: str, body: Json) -> None:
    version = s.catalog.version(user, body["name"], body["version"], "APPLY_TAG", "MANAGE")
    version.tags = checked_tags(version.tags, [body])


def untag_version(s: Server, user: str, body: Json) -> None:
    version = s.catalog.version(user, body["name"], body["version"], "APPLY_TAG", "MANAGE")
    if version.tags.pop(body["key"], None) is None:  # (?)
        raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Tag '{body['key']}' does not exist.")


def tag_model(s: Server, user: str, body: Json) -> None:
    model = s.catalog.need(user, body["name"], "APPLY_TAG", "MANAGE")
    model.tags = checked_tags(model.tags, [body])


def untag_model(s: Server, user: str, body: Json) -> None:
    s.catalog.need(user, body["name"], "APPLY_TAG", "MANAGE").tags.pop(body["key"], None)


def delete_alias(s: Server, user: str, body: Json) -> None:
    aliases = s.catalog.need(user, body["name"], "MANAGE").aliases
    if aliases.pop(body["alias"], None) is None:  # (?)
        raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Registered model alias '{body['alias']}' does not exist.")


def sign(s: Server, user: str, body: Json, *, write: bool) -> Json:
    path = body["path"].removeprefix("/Models/")
    s.may_touch(user, path, write=write)
    return {"url": f"{s.url}/presigned/{path}", "headers": []}


def touch(s: Server, user: str, method: str, path: str, raw: bytes) -> bytes | None:
    s.may_touch(user, path, write=method == "PUT")
    return s.file(method, path, raw)


def me(s: Server, user: str, body: Json) -> Json:
    return {"userName": user, "groups": [{"display": group} for group in s.catalog.groups.get(user, ())]}


MODELS, VERSIONS = f"{UC}/registered-models", f"{UC}/model-versions"
GRANTS = "/api/2.1/unity-catalog"
ROUTES: list[tuple[str, str, Handle]] = [
    ("GET", f"{MODELS}/get", get_model),
    ("POST", f"{MODELS}/create", lambda s, user, body: {"registered_model": s.catalog.create_model(user, body)}),
    ("PATCH", f"{MODELS}/update", update_model),
    ("DELETE", f"{MODELS}/delete", delete_model),
    ("GET", f"{MODELS}/search", search_models),
    ("POST", f"{MODELS}/set-tag", tag_model),
    ("DELETE", f"{MODELS}/delete-tag", untag_model),
    ("POST", f"{MODELS}/alias", lambda s, user, b: s.catalog.set_alias(user, b["name"], b["alias"], str(b["version"]))),
    ("DELETE", f"{MODELS}/alias", delete_alias),
    ("GET", f"{MODELS}/alias", lambda s, user, b: {"model_version": s.catalog.aliased(user, b["name"], b["alias"])}),
    (
        "GET",
        f"{MODELS}:is-databricks-sdk-models-artifact-repository-enabled",
        lambda s, user, body: {"is_databricks_sdk_models_artifact_repository_enabled": s.sdk_files},
    ),
    ("POST", f"{VERSIONS}/create", lambda s, user, body: {"model_version": s.catalog.create_version(user, body)}),
    ("POST", f"{VERSIONS}/finalize",
     lambda s, user, b: {"model_version": s.catalog.finalize(user, b["name"], str(b["version"]))}),
    ("PATCH", f"{VERSIONS}/update", update_version),
    ("DELETE", f"{VERSIONS}/delete", lambda s, user, b: s.catalog.delete_version(user, b["name"], str(b["version"]))),
    ("GET", f"{VERSIONS}/get", get_version),
    ("GET", f"{VERSIONS}/search",
     lambda s, user, b: s.page("model_versions", s.catalog.found_versions(user, b.get("filter", "")), b)),
    ("POST", f"{VERSIONS}/set-tag", tag_version),
    ("DELETE", f"{VERSIONS}/delete-tag", untag_version),
    ("POST", f"{VERSIONS}/generate-temporary-credentials", credentials),
    ("POST", f"{VERSIONS}/emit-lineage", lambda s, user, body: {}),
    ("POST", "/api/2.0/fs/create-upload-url", lambda s, user, body: sign(s, user, body, write=True)),
    ("POST", "/api/2.0/fs/create-download-url", lambda s, user, body: sign(s, user, body, write=False)),
    ("PUT", f"{FILES}/(.+)", lambda s, user, body, path, raw: touch(s, user, "PUT", path, raw)),
    ("GET", f"{FILES}/(.+)", lambda s, user, body, path, raw: touch(s, user, "GET", path, raw)),
    ("GET", f"{FOLDERS}/(.+)", lambda s, user, body, path: s.listing(path)),
    ("HEAD", f"{FOLDERS}/(.+)", lambda s, user, body, path: s.listing(path)),
    *PROMPT_ROUTES,
    ("POST", f"{UC}/prompt-versions/links-to-.+", lambda s, user, body: {}),
    ("GET", "/api/2.0/preview/scim/v2/Me", me),
    ("GET", f"{GRANTS}/(?:catalogs|schemas|models)/([^/]+)", lambda s, user, body, name: s.owned(user, name)),
    ("GET", f"{GRANTS}/metastore_summary", lambda s, user, body: {"owner": s.catalog.administrator}),
    ("GET", f"{GRANTS}/effective-permissions/\\w+/([^/]+)",
     lambda s, user, body, name: s.effective(user, name, body["principal"])),
]  # fmt: skip
