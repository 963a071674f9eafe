"""When providers retire their models, and what succeeds them: `config/lifecycle.yaml`."""

from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.settings import read_settings

LIFECYCLE_FILE = Path("config/lifecycle.yaml")
NEAR_DAYS = 90
"""A model that retires within so many days is near its end."""


class Retirement(BaseModel):
    """The announced end of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    model: str
    aliases: tuple[str, ...] = ()
    """Other names of the same model."""
    retires: date
    """From this day on calls fail."""
    successor: str | None = None
    source: str
    gone: bool = False
    """Whether it is certain that nobody can call it any more, so that it is refused by name."""

    def days_left(self, today: date | None = None) -> int:
        """Days until it retires; negative afterwards."""
        return (self.retires - (today or datetime.now(UTC).date())).days

    @property
    def advice(self) -> str:
        """What to use instead, and who says so."""
        instead = f"Use {self.successor!r} instead. " if self.successor else ""
        return f"{instead}Source: {self.source}."


class Lifecycle(BaseModel):
    """All announced ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Retirement, ...]

    def of(self, provider: str, model: str) -> Retirement | None:
        """The announced end of a model; None where none is known."""
        return next(
            (
                known
                for known in self.models
                if known.provider == provider
                and model.casefold() in (known.model.casefold(), *map(str.casefold, known.aliases))
            ),
            None,
        )


def read_lifecycle(path: Path = LIFECYCLE_FILE) -> Lifecycle | None:
    """The announced ends of models; None without the file. Raises ConfigError where it is wrong."""
    return read_settings(path, Lifecycle) if path.exists() else None


def retirement_of(config: AgentConfig, path: Path = LIFECYCLE_FILE) -> Retirement | None:
    """The announced end of a candidate's model; None where none is known.

    Raises:
        ConfigError: it is gone, or the file is wrong.
    """
    lifecycle = read_lifecycle(path)
    retirement = lifecycle.of(config.provider, config.model) if lifecycle else None
    if retirement and retirement.gone:
        raise ConfigError(f"{config.model!r} was retired on {retirement.retires}. {retirement.advice}")
    return retirement
