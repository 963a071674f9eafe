"""What one candidate is: provider, model, labels and parameters, from its file or from a logged model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from agent.errors import ConfigError
from agent.failures import RetrySettings
from agent.labels import LabelSet
from agent.prices import Price, PriceTable
from agent.prompt import AnswerFormat, PromptTemplate
from agent.providers import PROVIDERS
from agent.redaction import holds_secret
from agent.settings import parse_settings, read_yaml
from agent.transport import ADDRESS, Timeouts

Track = Literal["external", "internal", "local"]
PATHS = ("labels", "artifact", "prompt", "prices")
"""Settings that may be the path of a file, relative to the agent's own."""
OWN_PARAMS = frozenset(
    {"model", "messages", "system", "input", "stream", "response_format", "output_config", "max_tokens"}
    | {"max_completion_tokens", "extra_headers", "extra_body", "extra_query", "tools", "tool_choice", "n"}
)
"""Parameters that the product sets itself, or that would change more than the model's behaviour."""


class SecretInConfig(ConfigError):
    """A configuration holds a key."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Field {field!r} holds what looks like a key. Keys belong in the environment; remove it.")


class AgentConfig(BaseModel):
    """One candidate. Paths in its file are relative to that file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Short name of the candidate, for tables and file names."""
    provider: str
    """Which provider answers; see `agent.providers.PROVIDERS`."""
    model: str = Field(min_length=1)
    """The provider's name of the model."""
    track: Track
    """external: an LLM outside; internal: a model inside Databricks; local: a small one of our own."""
    tier: Literal["free", "paid"] = "paid"
    """free: a local model, or one that Databricks Free Edition's quota covers; what calls cost, `price` says."""
    note: str = ""
    """What people should know, for example rate limits."""
    labels: LabelSet
    """Categories and sentiments; in a file, the path of the YAML file that lists them."""
    artifact: Path | None = None
    """Folder of the trained model, for the local track. A logged model carries its own copy instead."""
    prompt: PromptTemplate | None = None
    """What an LLM is told; in a file, the path of the YAML file that holds it."""
    price: Price | None = None
    """What the model's tokens cost; in a file, `prices` names the table that it is looked up in."""
    base_url: str | None = Field(default=None, pattern=ADDRESS)
    """Address of the service, where it is not the provider's own."""
    answer_format: AnswerFormat = "json_schema"
    """`lines` for a model that cannot be held to a JSON schema."""
    max_output_tokens: int = Field(default=1024, ge=16, le=100_000)
    """Output cap of a call, reasoning included; the same for all candidates unless there is a reason."""
    output_cap_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """How the model calls the output cap, where it is not what its provider's models usually call it."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """Further parameters of the model, sent as they are. No temperature is sent unless it stands here."""
    timeouts: Timeouts = Timeouts()
    """How long is waited for the provider."""
    retries: RetrySettings = RetrySettings()
    """How the provider's failures are waited out."""
    max_concurrency: int = Field(default=16, ge=1, le=1000)
    """Calls in flight at most for one request, unless a caller says otherwise."""
    max_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What the calls of one evaluation may cost, in USD; no limit unless set."""

    @model_validator(mode="before")
    @classmethod
    def _price_is_this_models(cls, content: Any) -> Any:
        """The price of another model, left over when the model is changed on loading, is no price of this one."""
        price = content.get("price") if isinstance(content, dict) else None
        whose = (price.get("provider"), price.get("model")) if isinstance(price, dict) else None
        if whose and whose != (content.get("provider"), content.get("model")):
            return {**content, "price": None}
        return content

    @field_validator("params")
    @classmethod
    def _params_are_of_the_model(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(value, allow_nan=False)  # raises ValueError for a number that is none
        if taken := sorted(set(value) & OWN_PARAMS):
            raise ValueError(f"{taken} cannot be set here; allowed are parameters of the model such as temperature")
        return value

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secret(cls, content: Any) -> Any:
        """A configuration is logged and shown to everyone, so a key in it is refused before it is read."""
        if isinstance(content, dict):
            for field, value in content.items():
                if holds_secret({field: value.model_dump(mode="json") if isinstance(value, BaseModel) else value}):
                    raise SecretInConfig(field)
        return content

    @field_validator("provider")
    @classmethod
    def _provider_exists(cls, value: str) -> str:
        if value not in PROVIDERS:
            raise ValueError(f"unknown provider; available: {', '.join(sorted(PROVIDERS))}")
        return value

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read `config/agents/NAME.yaml`.

        Raises:
            ConfigError: the file, or the labels file that it names, cannot be read or has a mistake.
        """
        return cls.from_settings(read_yaml(path), path)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], path: Path) -> Self:
        """Settings as they stand in the file at `path`, which need not exist. Raises as `from_file` does."""
        content = {
            name: (path.parent / value).resolve() if name in PATHS and isinstance(value, str) else value
            for name, value in settings.items()
        }
        for name, model in (("labels", LabelSet), ("prompt", PromptTemplate), ("prices", PriceTable)):
            if isinstance(place := content.get(name), Path):
                content[name] = parse_settings(read_yaml(place), model, place)
        if "prices" in content:
            prices = parse_settings(content.pop("prices"), PriceTable, f"{path}: prices")
            content["price"] = prices.of(str(content.get("provider")), str(content.get("model")))
        return parse_settings(content, cls, path)

    def to_model_config(self) -> dict[str, JsonValue]:
        """What is logged with the model: everything but the path of this machine."""
        return self.model_dump(mode="json", exclude={"artifact"}) | {"artifact": None}
