"""The providers that can answer for an agent, imported only when one is asked for.

A new provider is one module here, one line in `PROVIDERS` and one row in the contract test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from agent.budget import Budget
    from agent.config import AgentConfig
    from agent.journal import Journal
    from agent.records import Article, Classification
    from agent.slots import Slots

PROVIDERS: Mapping[str, str] = {
    "anthropic": "agent.providers.anthropic.AnthropicProvider",
    "databricks": "agent.providers.databricks.DatabricksProvider",
    "openai": "agent.providers.openai.OpenAIProvider",
    "sklearn": "agent.providers.sklearn.SklearnProvider",
}
"""Name in an agent's configuration, to the class that is imported for it."""


class Pace(NamedTuple):
    """How articles are asked about: how many at a time, and what a long run keeps of its calls."""

    concurrency: int
    """At most so many calls in flight."""
    patient: bool = False
    """Whether to wait for a provider that is down for a moment: right for a long run, wrong for a caller who waits."""
    one_by_one: bool = False
    """Whether a model that takes many articles at once gets one after the other, so that each has its own latency."""
    slots: Slots | None = None
    """The places for calls in flight, for those who watch them; made by the provider otherwise."""
    journal: Journal | None = None
    """Where answers are found, and kept before they count. A model that costs nothing has no use for it."""
    repeat: int = 0
    """Which time the same articles are asked about."""
    budget: Budget | None = None
    """What the calls may cost. When it is spent, no more articles are answered."""


class Provider(Protocol):
    """Something that classifies articles."""

    def open(self) -> object:
        """Find in the environment what is needed, now rather than at the first article.

        Raises:
            ConfigError: a key or an address is missing.
        """

    def classify(self, articles: Sequence[Article], pace: Pace | None = None) -> Iterator[tuple[int, Classification]]:
        """Answer every article once, as `(its index, answer)`, in whatever order the answers come.

        An article that cannot be answered is answered with an `error`; only what makes every answer impossible raises.
        Where the pace has a budget and it is spent, the rest of the articles is not answered.
        """


@runtime_checkable
class WaitingProvider(Provider, Protocol):
    """A provider whose answers are waited for rather than computed."""

    @property
    def is_down(self) -> bool:
        """Whether the service failed so often that it is left alone for a while."""

    async def answer(self, article: Article) -> Classification:
        """Answer one article in the caller's event loop, which has to be the same every time.

        Raises:
            ConfigError: the environment lacks a key or an address.
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
