"""Keys from a Databricks secret scope, for those who keep none in their environment (`--use-secrets`)."""

import base64
import os
from collections.abc import Mapping

from agent.errors import ConfigError

SCOPE = "news-classifier-secrets"
KEYS: Mapping[str, tuple[str, str]] = {
    "openai": ("openai-api-key", "OPENAI_API_KEY"),
    "anthropic": ("anthropic-api-key", "ANTHROPIC_API_KEY"),
}
"""Provider to the name of its key in the scope, and the variable that it is put into."""
TIMEOUT_S = 10


def use_secrets(provider: str) -> None:
    """Put the key of a provider from the secret scope into the environment of this process.

    It takes the place of a key that is there already; if the scope cannot be read, that one is not used either.

    Raises:
        ConfigError: the scope or the key cannot be read.
    """
    if provider not in KEYS:
        return
    name, variable = KEYS[provider]
    from databricks.sdk import WorkspaceClient  # a second to import, and only needed here
    from databricks.sdk.core import Config

    try:
        workspace = WorkspaceClient(config=Config(http_timeout_seconds=TIMEOUT_S, retry_timeout_seconds=TIMEOUT_S))
        value = base64.b64decode(workspace.secrets.get_secret(SCOPE, name).value or "").decode()
    except Exception as err:
        raise ConfigError(
            f"The secret {name!r} of the scope {SCOPE!r} cannot be read: {err}. Check DATABRICKS_HOST, "
            "DATABRICKS_TOKEN and the permission READ on the scope, or leave --use-secrets out."
        ) from err
    if not value:
        raise ConfigError(f"The secret {name!r} of the scope {SCOPE!r} is empty. Put the key into it.")
    os.environ[variable] = value
