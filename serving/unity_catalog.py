"""What registering a model in Unity Catalog takes, asked of the workspace."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from agent.errors import ConfigError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.iam import User

WORKSPACE_TIMEOUT_S = 10
PRIVILEGES: Mapping[str, str] = {"USE_CATALOG": "catalog", "USE_SCHEMA": "schema", "CREATE_MODEL": "schema"}
"""What registering a model takes, and on what."""
EVERYONE = "account users"
"""The group of all users of a Databricks account, which no user's list of groups names."""


class Grants(NamedTuple):
    """Who registers models, and what they still need for it."""

    user: str
    missing: str
    """As it is granted; empty when nothing is missing."""


def missing_grants(registry_uri: str, catalog: str, schema: str) -> Grants:
    """What the user lacks to register models in a schema.

    Raises:
        ConfigError: that cannot be found out.
    """
    names = {"catalog": catalog, "schema": f"{catalog}.{schema}"}
    with explained("the workspace cannot be asked", "Check DATABRICKS_HOST and how you sign in."):
        workspace = open_workspace(urlsplit(registry_uri).netloc or None)
        me = workspace.current_user.me()
    with explained(f"catalog {catalog!r} cannot be read", f"Grant USE CATALOG on it to {me.user_name}."):
        owners = {"catalog": workspace.catalogs.get(catalog).owner}
    with explained(f"schema {names['schema']!r} cannot be read", f"Grant USE SCHEMA on it to {me.user_name}."):
        owners["schema"] = workspace.schemas.get(names["schema"]).owner
    with explained("the grants cannot be read", f"Grant {in_words(PRIVILEGES, names)} to {me.user_name}."):
        missing = missing_privileges(workspace, me, names, owners)
    return Grants(str(me.user_name), in_words(missing, names))


def open_workspace(profile: str | None) -> "WorkspaceClient":
    """The Databricks workspace of the environment, or of a profile of its command line."""
    from databricks.sdk import WorkspaceClient  # a second to import, and only needed here
    from databricks.sdk.core import Config

    wait_s = WORKSPACE_TIMEOUT_S
    return WorkspaceClient(config=Config(profile=profile, http_timeout_seconds=wait_s, retry_timeout_seconds=wait_s))


def missing_privileges(
    workspace: "WorkspaceClient", me: "User", names: Mapping[str, str], owners: Mapping[str, str | None]
) -> list[str]:
    """The privileges that the user has neither as owner nor by a grant, to them or to a group of theirs."""
    missing = list(PRIVILEGES)
    for principal in filter(None, (me.user_name, *(group.display for group in me.groups or ()), EVERYONE)):
        owned = {privilege for privilege, kind in PRIVILEGES.items() if owners[kind] == principal}
        missing = [privilege for privilege in missing if privilege not in owned]
        for kind in names:
            held = granted(workspace, kind, names[kind], principal) if missing else set()
            missing = [privilege for privilege in missing if not held & {privilege, "ALL_PRIVILEGES"}]
    return missing


def granted(workspace: "WorkspaceClient", kind: str, name: str, principal: str) -> set[str]:
    """The privileges that are granted to a principal on an object or above it."""
    from databricks.sdk.errors import NotFound

    found: set[str] = set()
    token = None
    while True:
        try:
            page = workspace.grants.get_effective(kind, name, max_results=0, page_token=token, principal=principal)
        except NotFound:  # a group of the workspace alone, to which nothing can be granted
            return set()
        for assignment in page.privilege_assignments or ():
            found |= {entry.privilege.value for entry in assignment.privileges or () if entry.privilege}
        token = page.next_page_token
        if not token:
            return found


def in_words(privileges: Iterable[str], names: Mapping[str, str]) -> str:
    """Privileges as they are granted."""
    return ", ".join(f"{name.replace('_', ' ')} on {PRIVILEGES[name]} {names[PRIVILEGES[name]]}" for name in privileges)


@contextmanager
def explained(problem: str, remedy: str) -> Iterator[None]:
    """Whatever is raised inside becomes a ConfigError that says what failed and what to do."""
    try:
        yield
    except Exception as err:
        raise ConfigError(f"{problem}: {str(err).rstrip('.')}. {remedy}") from err
