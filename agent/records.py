"""The records that cross the agent's boundary: what is asked and what is answered."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.labels import UNKNOWN

MAX_ARTICLE_CHARS = 200_000
"""Longest title and content together, in characters; far above any news article."""


class Article(BaseModel):
    """One news article."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    title: str = ""
    content: str = ""
    id: str | int | None = None
    """The caller's name for it; returned with the answer."""

    def problem(self) -> str | None:
        """Why this article cannot be classified, or None."""
        if not self.title.strip() and not self.content.strip():
            return "title and content are both empty; give at least one of them"
        length = len(self.title) + len(self.content)
        if length > MAX_ARTICLE_CHARS:
            return f"the article has {length:,} characters; at most {MAX_ARTICLE_CHARS:,} are allowed; shorten it"
        return None


class Call(BaseModel):
    """One call made to a model on behalf of an article, answered or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    """Which stage of the agent made it, for example `classify`."""
    model: str
    """`provider:model` as asked."""
    outcome: Literal["ok", "error"]
    latency_ms: float
    """Wall time of the call; articles answered by one call in a batch share it."""
    articles: int = 1
    """How many articles the call answered together."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None when the price is not known, which is not the same as 0."""


class ArticleError(BaseModel):
    """Why one article has no answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["invalid_article", "provider_error"]
    message: str


class Classification(BaseModel):
    """The answer for one article."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | int | None = None
    category: str | None = UNKNOWN
    """A configured category or `Unknown`; None when the model does not judge categories."""
    sentiment: str | None = UNKNOWN
    """A configured sentiment or `Unknown`; None when the model does not judge sentiments."""
    category_probabilities: dict[str, float] | None = None
    """Calibrated, over the configured categories, sum 1; None where the provider has none."""
    sentiment_probabilities: dict[str, float] | None = None
    """Calibrated, over the configured sentiments, sum 1; None where the provider has none."""
    abstained: bool = False
    """True when the model declined to choose, so that a later stage may be asked."""
    provider: str
    model: str
    model_hash: str | None = None
    """sha256 of the local model that answered; None for a remote model."""
    prompt_version: str | None = None
    calls: tuple[Call, ...] = ()
    error: ArticleError | None = None
