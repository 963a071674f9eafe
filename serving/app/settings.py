"""`config/serving.yaml`: what the production server allows, keeps and watches."""

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agent.settings import parse_settings, read_settings
from serving.predictions.settings import LogSettings

SETTINGS_FILE = Path("config/serving.yaml")
KEYS_VARIABLE = "NEWS_CLASSIFIER_API_KEYS"
"""Further keys, as `name:sha256` or `name:sha256:requests a minute`, with spaces between."""
PLATFORM_TIMEOUT_S = 120.0
"""What serving platforms give a request; an answer after that reaches nobody."""
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,62}$")]
Percent = Annotated[int, Field(ge=0, le=100)]


class Settings(BaseModel):
    """What every group of settings has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(Settings):
    """What a request may ask for."""

    body_mb: float = Field(default=16.0, gt=0)
    """Longest body, in megabytes; Databricks' own limit."""
    articles: int = Field(default=1000, ge=1)
    """Most articles in a request."""
    requests_in_flight: int = Field(default=128, ge=1)
    """Requests that are answered at once; others get a 503 with Retry-After."""
    mb_in_flight: float = Field(default=128.0, gt=0)
    """Bodies that are held at once, in megabytes."""
    body_timeout_s: float = Field(default=20.0, gt=0)
    """How long the head or the body of a request may take to arrive, in seconds."""
    request_timeout_s: float = Field(default=110.0, gt=0, lt=PLATFORM_TIMEOUT_S)
    """How long a request may take in all, in seconds; then it gets a 504."""
    calls_in_flight: int = Field(default=64, ge=1, le=1000)
    """Calls of one worker to its provider at once; fewer while the provider says that it has too many."""
    shutdown_s: float = Field(default=118.0, gt=0)
    """How long the server may take to end after it was told to, in seconds; what is in flight then has all of that but
    the last quarter, or 8 s, in which the log is written."""


class ApiKey(Settings):
    """Somebody who may ask."""

    name: KeyName
    """Appears in metrics and logs."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the key; the key itself is nowhere. 'news-classifier serve key NAME' makes both."""
    requests_per_minute: int = Field(default=6000, ge=1)
    """Of this key; beyond it a request gets a 429 with Retry-After."""


class Watch(Settings):
    """How a new champion is noticed and taken in."""

    every_s: float = Field(default=10.0, gt=0)
    """How often the aliases are read, in seconds."""
    load_timeout_s: float = Field(default=120.0, gt=0)
    """How long a version may take to load, in seconds."""
    retry_s: float = Field(default=60.0, gt=0)
    """How long a version that could not be loaded, or failed the smoke set, is left alone, in seconds."""
    ping_s: float = Field(default=5.0, gt=0)
    """How often workers are asked for a sign of life, in seconds."""
    silent_s: float = Field(default=60.0, gt=0)
    """After how long without one a worker is replaced, in seconds."""


class Traffic(Settings):
    """Who answers."""

    challenger_percent: Percent = 0
    """Share of the articles that the challenger answers; the same article always has the same version."""
    shadow_percent: Percent = 0
    """Share of the champion's articles that the challenger is asked about too, without returning its answers."""


class Halt(Settings):
    """When the challenger's share is taken away. Compared are the last answers of both versions."""

    answers: int = Field(default=500, ge=1)
    """How many of the last answers are looked at."""
    min_answers: int = Field(default=50, ge=1)
    """Nothing is judged on fewer."""
    max_error_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the challenger's answers that are errors, beyond the champion's own."""
    max_latency_ratio: float = Field(default=3.0, gt=1)
    """The challenger's p95 latency over the champion's."""
    max_latency_ms: float = Field(default=10_000.0, gt=0)
    """The challenger's p95 latency, in milliseconds, whatever the champion's is."""
    max_usd_per_1k: float | None = Field(default=None, ge=0)
    """The challenger's cost of 1,000 articles, in US dollars; null does not look at it."""
    max_cost_ratio: float | None = Field(default=3.0, gt=1)
    """The challenger's cost over the champion's, where that is not free; null does not look at it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_answers > self.answers:
            raise ValueError("min_answers is more than answers")
        return self


class ServingSettings(Settings):
    """Everything that the server is told, apart from which model and where to listen."""

    limits: Limits = Limits()
    api_keys: tuple[ApiKey, ...] = ()
    """Who may ask. Without any, only a server on the loopback address starts."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which a server on the loopback address may be asked, besides those of loopback."""
    predictions: LogSettings = LogSettings()
    docs: bool = True
    """Whether /docs and /openapi.json are there."""
    watch: Watch = Watch()
    traffic: Traffic = Traffic()
    halt: Halt = Halt()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [key.name for key in self.api_keys]
        if len(set(names)) < len(names):
            raise ValueError(f"api_keys has a name twice: {names}")
        return self


def load_settings(path: Path) -> ServingSettings:
    """The settings of a file, with the keys of the environment; the defaults where the usual file is not there.

    Raises:
        ConfigError: a setting or the variable is wrong.
    """
    is_default = path == SETTINGS_FILE and not path.exists()
    settings = ServingSettings() if is_default else read_settings(path, ServingSettings)
    keys = [key_fields(entry) for entry in os.environ.get(KEYS_VARIABLE, "").split()]
    if not keys:
        return settings
    fields = settings.model_dump()
    return parse_settings({**fields, "api_keys": [*fields["api_keys"], *keys]}, ServingSettings, KEYS_VARIABLE)


def key_fields(entry: str) -> dict[str, object]:
    """The fields of one key in the environment."""
    name, sha256, limit = (re.split(":", entry, maxsplit=2) + ["", ""])[:3]
    return {"name": name, "sha256": sha256} | ({"requests_per_minute": limit} if limit else {})
