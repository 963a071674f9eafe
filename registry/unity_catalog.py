"""Who may do what in Unity Catalog, asked of the workspace, and how the rest is granted.

It may not know what is registered: `registry/refusals.py` asks it why a call was refused.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import mlflow

from agent.errors import RegistryError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.iam import User

SCHEME = "databricks-uc"
WORKSPACE_TIMEOUT_S = 10
REACH: Mapping[str, str] = {"USE_CATALOG": "catalog", "USE_SCHEMA": "schema"}
CREATE: Mapping[str, str] = {**REACH, "CREATE_MODEL": "schema"}
"""What making a registered model takes, and on what."""
MANAGE: Mapping[str, str] = {**REACH, "EXECUTE": "function", "APPLY_TAG": "function", "MANAGE": "function"}
"""What registering versions of it and moving its aliases takes; its owner has the last three. A model is a function."""
EVERYONE = "account users"
"""The group of all users of a Databricks account, which no user's list of groups names."""
PLAIN = re.compile(r"\w+")


class Standing(NamedTuple):
    """What a user may do with a registered model, which may not exist yet."""

    user: str
    model: str
    owner: str | None
    """None where there is no such model, or where the user may not see it."""
    missing: tuple[tuple[str, str], ...]
    """Privileges that the user lacks, each with what it is granted on; empty when nothing is missing."""

    @property
    def remedy(self) -> str:
        """The statements that grant what is missing."""
        lacking = {name: ", ".join(one for one, on in self.missing if on == name) for _, name in self.missing}
        return "; ".join(grant_statement(privileges, on, self.user) for on, privileges in lacking.items())

    @property
    def sentence(self) -> str:
        """Who owns the model, what is missing, and how it is granted."""
        names = ", ".join(privilege.replace("_", " ") for privilege, _ in self.missing)
        if self.owner is None:
            return f"{self.user} lacks {names}. Let an owner or administrator run: {self.remedy}."
        who = self.owner if all(on == self.model for _, on in self.missing) else "an administrator"
        return (
            f"{self.model} belongs to {self.owner}, and {self.user} lacks {names}. Let {who} run: {self.remedy}; or "
            f"make a group that they are in its owner: databricks registered-models update {self.model} --owner GROUP."
        )


def is_unity_catalog() -> bool:
    """Whether models are registered in Unity Catalog."""
    return mlflow.get_registry_uri().partition(":")[0] == SCHEME


def check_grants(name: str) -> None:
    """Look, before anything moves, whether aliases and tags of a model may be changed; only Unity Catalog is asked.

    Raises:
        RegistryError: they may not, or that cannot be found out.
    """
    if is_unity_catalog() and (found := standing(name, mlflow.get_registry_uri())).missing:
        raise RegistryError(f"{name} cannot be changed: {found.sentence}")


def refusal_explained(name: str, err: Exception) -> str:
    """A refusal of Unity Catalog on one line, with what the user lacks, as far as that can be found out."""
    refusal = str(err).partition(" Config: ")[0].rstrip(".")  # the SDK adds how it is configured
    try:
        found = standing(name, mlflow.get_registry_uri())
    except RegistryError as unknown:
        return f"{refusal}. What is missing could not be found out: {unknown}"
    return f"{refusal}. {found.sentence}" if found.missing else f"{refusal}. Its grants look complete; ask its owner."


def standing(name: str, registry_uri: str) -> Standing:
    """What the user may do with a registered model; where there is none, whether they may make it.

    Raises:
        RegistryError: that cannot be found out.
    """
    catalog, schema, _ = levels(name)
    names = {"catalog": catalog, "schema": f"{catalog}.{schema}", "function": name}
    with asked("the workspace cannot be asked", "Check DATABRICKS_HOST and how you sign in."):
        workspace = open_workspace(urlsplit(registry_uri).netloc or None)
        me = workspace.current_user.me()
    with asked(f"catalog {catalog!r} cannot be read", let_run("USE_CATALOG", catalog, me)):
        owners = {"catalog": workspace.catalogs.get(catalog).owner}
    with asked(f"schema {names['schema']!r} cannot be read", let_run("USE_SCHEMA", names["schema"], me)):
        owners["schema"] = workspace.schemas.get(names["schema"]).owner
    with asked(f"the owner of {name} cannot be read", "Ask an administrator."):
        exists, owners["function"] = owner_of(workspace, name)
    wanted = MANAGE if exists else CREATE
    with asked("the grants cannot be read", "Ask an administrator."):
        missing = missing_privileges(workspace, me, wanted, names, owners)
    return Standing(str(me.user_name), name, owners["function"], tuple((one, names[wanted[one]]) for one in missing))


def levels(name: str) -> tuple[str, str, str]:
    """Catalog, schema and model of a name.

    Raises:
        RegistryError: it has not three levels.
    """
    parts = name.split(".")
    if len(parts) != 3 or not all(parts):
        raise RegistryError(f"{name!r} has not the three levels of Unity Catalog. Set UC_CATALOG and UC_SCHEMA.")
    return parts[0], parts[1], parts[2]


def open_workspace(profile: str | None, wait_s: int | None = None) -> "WorkspaceClient":
    """The Databricks workspace of the environment, or of a profile of its command line; one call takes `wait_s`."""
    from databricks.sdk import WorkspaceClient  # a second to import, and only needed here
    from databricks.sdk.core import Config

    wait_s = wait_s or WORKSPACE_TIMEOUT_S
    return WorkspaceClient(config=Config(profile=profile, http_timeout_seconds=wait_s, retry_timeout_seconds=wait_s))


def owner_of(workspace: "WorkspaceClient", name: str) -> tuple[bool, str | None]:
    """Whether there is such a model, and who owns it; nobody where it may not be seen."""
    from databricks.sdk.errors import NotFound, PermissionDenied

    try:
        return True, workspace.registered_models.get(name).owner
    except NotFound:
        return False, None
    except PermissionDenied:
        return True, None


def missing_privileges(
    workspace: "WorkspaceClient",
    me: "User",
    wanted: Mapping[str, str],
    names: Mapping[str, str],
    owners: Mapping[str, str | None],
) -> list[str]:
    """The privileges that the user has neither as owner nor by a grant, to them or to a group of theirs."""
    missing = list(wanted)
    kinds = [kind for kind in names if kind in wanted.values()]
    for principal in filter(None, (me.user_name, *(group.display for group in me.groups or ()), EVERYONE)):
        missing = [one for one in missing if owners[wanted[one]] != principal]
        for kind in kinds:
            held = granted(workspace, kind, names[kind], principal, own=principal == me.user_name) if missing else set()
            missing = [one for one in missing if one not in held and not ("ALL_PRIVILEGES" in held and one != "MANAGE")]
        if missing and principal == administrator(workspace):
            return []
    return missing


def administrator(workspace: "WorkspaceClient") -> str | None:
    """Who administers everything; None where that may not be seen."""
    from databricks.sdk.errors import NotFound, PermissionDenied

    try:
        return workspace.metastores.summary().owner
    except (NotFound, PermissionDenied):
        return None


def granted(workspace: "WorkspaceClient", kind: str, name: str, principal: str, *, own: bool) -> set[str]:
    """The privileges that are granted to a principal on an object or above it.

    Only who manages an object may read what others have on it; what groups bring comes with one's own.
    """
    from databricks.sdk.errors import NotFound, PermissionDenied

    found: set[str] = set()
    token = None
    while True:
        query = {"max_results": 0, "principal": principal, **({"page_token": token} if token else {})}
        try:  # as it comes: the SDK's own classes leave out privileges that they do not know
            page = workspace.api_client.do(
                "GET", f"/api/2.1/unity-catalog/effective-permissions/{kind}/{name}", query=query
            )
        except NotFound:  # a group of the workspace alone, to which nothing can be granted
            return set()
        except PermissionDenied:
            if own:
                raise
            return set()
        assert isinstance(page, dict)
        for assignment in page.get("privilege_assignments", ()):
            found |= {entry["privilege"] for entry in assignment.get("privileges", ()) if entry.get("privilege")}
        token = page.get("next_page_token")
        if not token:
            return found


def let_run(privilege: str, name: str, me: "User") -> str:
    """What to do where not even the object may be seen."""
    return f"Let its owner run: {grant_statement(privilege, name, str(me.user_name))}."


def grant_statement(privileges: str, name: str, user: str) -> str:
    """The SQL that grants privileges on a catalog, a schema or a model."""
    kind = ("CATALOG", "SCHEMA", "FUNCTION")[name.count(".")]
    return f"GRANT {privileges.replace('_', ' ')} ON {kind} {quoted(name)} TO `{user}`"


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return ".".join(part if PLAIN.fullmatch(part) else f"`{part}`" for part in name.split("."))


@contextmanager
def asked(problem: str, remedy: str) -> Iterator[None]:
    """Whatever is raised inside becomes a RegistryError that says what failed and what to do."""
    try:
        yield
    except Exception as err:
        raise RegistryError(f"{problem}: {str(err).rstrip('.')}. {remedy}") from err
