"""Keys and addresses of the providers, from the environment and from nowhere else."""

import os
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.errors import ConfigError
from agent.transport import ADDRESS, Unanswered


class Credentials(BaseSettings):
    """What one provider is reached with."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_line_end(cls, value: object) -> object:
        """Files and mounted secrets end with one; inside, no header can carry it."""
        if not isinstance(value, str):
            return value
        if not value.strip().isprintable():
            raise ValueError("it holds a line end or another control character")
        return value.strip()

    @classmethod
    def read(cls) -> Self:
        """Read the environment.

        Raises:
            ConfigError: a variable is missing or wrong. Its value is not shown.
        """
        try:
            return cls()
        except ValidationError as err:
            first = err.errors(include_url=False, include_input=False)[0]
            variable = f"{cls.model_config.get('env_prefix', '')}{first['loc'][0]}".upper()
            problem = "is not set" if first["type"] == "missing" else f"is wrong: {first['msg']}"
            raise ConfigError(
                f"{variable} {problem}. Set it in the environment or in config/.env (see config/.env.example)."
            ) from None  # whose text quotes the values


class OpenAICredentials(Credentials):
    """OpenAI, or any server that speaks its wire."""

    model_config = SettingsConfigDict(env_prefix="OPENAI_")

    api_key: SecretStr
    base_url: str = Field(default="https://api.openai.com/v1", pattern=ADDRESS)


class AnthropicCredentials(Credentials):
    """Anthropic."""

    model_config = SettingsConfigDict(env_prefix="ANTHROPIC_")

    api_key: SecretStr
    base_url: str = Field(default="https://api.anthropic.com", pattern=ADDRESS)


class DatabricksCredentials(Credentials):
    """A Databricks workspace. Without a token the SDK's other ways to sign in are used."""

    model_config = SettingsConfigDict(env_prefix="DATABRICKS_")

    host: str | None = None
    token: SecretStr | None = None


class NotifyCredentials(Credentials):
    """Where people are told about a regression. Whoever knows such an address can post there."""

    model_config = SettingsConfigDict(env_prefix="NEWS_CLASSIFIER_")

    notify_urls: SecretStr | None = None
    """Addresses as apprise takes them, with spaces between."""


class ServerCredentials(Credentials):
    """A server of the classifier itself, for who asks it."""

    model_config = SettingsConfigDict(env_prefix="NEWS_CLASSIFIER_")

    api_key: SecretStr | None = None


class HashKeyCredentials(Credentials):
    """What the articles of the prediction log are named by."""

    model_config = SettingsConfigDict(env_prefix="NEWS_CLASSIFIER_")

    hash_key: SecretStr | None = None
    """Any text of 16 characters or more; servers that share it give an article the same name."""


class DatabricksLogin:
    """Signs requests to a workspace: with the token, or with whatever the Databricks SDK finds (OAuth, a profile).

    Tokens of the SDK are short-lived; it renews them when asked for the headers of a request.

    Raises:
        ConfigError: there is neither a token nor another way to sign in.
    """

    TIMEOUT_S = 10

    def __init__(self) -> None:
        credentials = DatabricksCredentials.read()
        self._token = credentials.token
        self._sdk: Any = None
        host = credentials.host
        if not (credentials.token and host):
            self._sdk = self._sign_in()
            host = self._sdk.host
        self.host = normal_host(str(host))

    def headers(self) -> Mapping[str, str]:
        """Headers that sign a request made now. Raises Unanswered when the workspace gives no token."""
        if self._sdk is None:
            assert self._token
            return {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        try:
            signed: Mapping[str, str] = self._sdk.authenticate()
        except Exception as err:  # whatever its many ways to sign in raise
            raise Unanswered(f"no token ({err})", timed_out=False, sent=False) from err
        return signed

    @property
    def may_wait(self) -> bool:
        """Whether getting the headers may ask the workspace for a new token."""
        return self._sdk is not None

    def _sign_in(self) -> Any:
        from databricks.sdk.core import Config  # a second to import, and only needed here

        try:
            config = Config(http_timeout_seconds=self.TIMEOUT_S, retry_timeout_seconds=self.TIMEOUT_S)
            config.authenticate()
        except Exception as err:
            problem = str(err) if os.environ.get("DATABRICKS_HOST") else "there is neither an address nor a profile"
            raise ConfigError(
                f"Databricks cannot be signed in to: {problem}. Set DATABRICKS_HOST and DATABRICKS_TOKEN, or "
                "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, in the environment or in config/.env."
            ) from err
        return config


def normal_host(host: str) -> str:
    """A workspace address with its scheme, and without the path and query that a browser shows."""
    try:
        parts = urlsplit(host if "://" in host else f"https://{host}")
    except ValueError:
        return host  # is refused where it is used
    return f"{parts.scheme}://{parts.netloc}"


def key_in(variable: str) -> SecretStr:
    """The key in a variable of the environment. Raises ConfigError where there is none."""
    if value := os.environ.get(variable, "").strip():
        return SecretStr(value)
    raise ConfigError(f"{variable} is not set. Set it in the environment or in config/.env.")
