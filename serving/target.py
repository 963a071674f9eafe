"""Where a server of the classifier is and what signs requests to it: the app, `mlflow models serve`, Databricks.

All of them take MLflow's body at `/invocations`, so that a target is an address and its headers.
"""

import re
from collections.abc import Mapping
from functools import partial

from pydantic import SecretStr

from agent.credentials import DatabricksLogin, ServerCredentials, normal_host
from agent.endpoint import Endpoint, check_address
from agent.errors import ConfigError
from agent.transport import ADDRESS

INVOCATIONS = "/invocations"
NAMED = re.compile(r"databricks://(?P<name>[A-Za-z0-9][\w-]{0,62})/?")
ON_DATABRICKS = re.compile(r"(?P<host>https?://[^/]+)/serving-endpoints/(?P<name>[A-Za-z0-9][\w-]{0,62})")
FORMS = "http://HOST:8000, databricks://ENDPOINT or https://WORKSPACE/serving-endpoints/ENDPOINT"


def open_target(address: str, api_key: SecretStr | None = None) -> Endpoint:
    """Read an address.

    Args:
        address: As one of `FORMS`, with or without `/invocations`.
        api_key: Sent as a bearer token. Unless given: to Databricks what signs in to the workspace, to others what is
            in NEWS_CLASSIFIER_API_KEY, or nothing.

    Raises:
        ConfigError: the address is none, or the workspace cannot be signed in to.
    """
    if named := NAMED.fullmatch(address):
        login = DatabricksLogin()
        return endpoint(login.host, f"/serving-endpoints/{named['name']}", login, api_key)
    place = address.strip().rstrip("/").removesuffix(INVOCATIONS).rstrip("/")
    if not re.match(ADDRESS, place):
        raise ConfigError(f"{address!r} is no address of a server. Give {FORMS}; keys do not belong into it.")
    check_address(place)
    if (found := ON_DATABRICKS.fullmatch(place)) and api_key is None:
        return endpoint(found["host"], f"/serving-endpoints/{found['name']}", own_login(found["host"]), None)
    return endpoint(place, "", None, api_key or ServerCredentials.read().api_key)


def own_login(host: str) -> DatabricksLogin:
    """The environment's login, unless it is one to another workspace, which must not get to know it."""
    login = DatabricksLogin()
    if login.host != normal_host(host):
        raise ConfigError(
            f"The environment signs in to {login.host}, and the address is at {host}. Set DATABRICKS_HOST to that, or "
            "give a key."
        )
    return login


def endpoint(host: str, path: str, login: DatabricksLogin | None, api_key: SecretStr | None) -> Endpoint:
    """Where requests go and what signs them."""
    if login and api_key is None:
        return Endpoint(host, f"{path}{INVOCATIONS}", login.headers, login.may_wait)
    return Endpoint(host, f"{path}{INVOCATIONS}", partial(bearer, api_key))


def bearer(api_key: SecretStr | None) -> Mapping[str, str]:
    """The header that carries a key, if there is one."""
    return {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {}
