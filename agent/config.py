"""What one candidate is: provider, model, labels and parameters, from its file or from a logged model."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from agent.labels import LabelSet
from agent.providers import PROVIDERS
from agent.settings import parse_settings, read_yaml

Track = Literal["external", "internal", "local"]


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
    """Whether calls cost money."""
    note: str = ""
    """What people should know, for example rate limits."""
    labels: LabelSet
    """Categories and sentiments; in a file, the path of the YAML file that lists them."""
    artifact: Path | None = None
    """Folder of the trained model, for the local track. A logged model carries its own copy instead."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """Parameters of the provider."""

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
        content = read_yaml(path)
        for key in ("labels", "artifact"):
            if isinstance(content.get(key), str):
                content[key] = (path.parent / str(content[key])).resolve()
        if isinstance(content.get("labels"), Path):
            labels_path = Path(str(content["labels"]))
            content["labels"] = parse_settings(read_yaml(labels_path), LabelSet, labels_path)
        return parse_settings(content, cls, path)

    def to_model_config(self) -> dict[str, JsonValue]:
        """What is logged with the model: everything but the path of this machine."""
        return self.model_dump(mode="json", exclude={"artifact"}) | {"artifact": None}
