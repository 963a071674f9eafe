"""The providers that can answer for an agent, imported only when one is asked for.

A new provider is one module here, one line in `PROVIDERS` and one row in the contract test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import AgentConfig
    from agent.records import Article, Classification

PROVIDERS: Mapping[str, str] = {
    "sklearn": "agent.providers.sklearn.SklearnProvider",
}
"""Name in an agent's configuration, to the class that is imported for it."""


class Provider(Protocol):
    """Something that classifies articles."""

    def classify(self, articles: Sequence[Article]) -> Iterator[tuple[int, Classification]]:
        """Answer every article once, as `(its index, answer)`, in whatever order the answers come.

        An article that cannot be answered is answered with an `error`; only what makes every answer impossible raises.
        """


def create_provider(config: AgentConfig, artifact: Path | None) -> Provider:
    """The provider that `config` names, with the trained model at `artifact` where it needs one.

    Raises:
        ArtifactError: the provider needs a trained model and cannot load it.
        ConfigError: the parameters are not ones of this provider.
    """
    module, _, name = PROVIDERS[config.provider].rpartition(".")
    provider: Provider = getattr(import_module(module), name)(config, artifact)
    return provider
