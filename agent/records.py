"""The records that cross the agent's boundary: what is asked and what is answered."""

import hashlib
from typing import Literal, NamedTuple

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

    @property
    def hash(self) -> str:
        """Half a sha256 of the text: the same text is the same article, whatever its id."""
        return hashlib.sha256(f"{self.title}\0{self.content}".encode(errors="surrogatepass")).hexdigest()[:32]

    def problem(self) -> str | None:
        """Why this article cannot be classified, or None."""
        if not self.title.strip() and not self.content.strip():
            return "title and content are both empty; give at least one of them"
        length = len(self.title) + len(self.content)
        if length > MAX_ARTICLE_CHARS:
            return f"the article has {length:,} characters; at most {MAX_ARTICLE_CHARS:,} are allowed; shorten it"
        return None


class InvalidArticle(NamedTuple):
    """An entry of a request that is no article."""

    id: str | int | None
    problem: str


Outcome = Literal[
    "ok", "unreadable", "refused", "rate_limited", "server_error", "timeout", "connection_error", "rejected"
]
"""What became of a call. The first three were answered by the model; `rejected` is a wrong key, request or name."""


class Call(BaseModel):
    """One call made to a model on behalf of an article, answered or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    """Which stage of the agent made it, for example `classify`."""
    model: str
    """`provider:model` as asked."""
    outcome: Outcome
    latency_ms: float
    """Wall time of the call; articles answered by one call in a batch share it."""
    articles: int = 1
    """How many articles the call answered together."""
    answer_format: Literal["json_schema", "lines"] | None = None
    """How the model was asked to answer; None for a local model."""
    input_tokens: int | None = None
    """Tokens read, cached ones included."""
    cached_input_tokens: int | None = None
    """Those of `input_tokens` that the provider had in its cache and bills for less."""
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None when the price is not known or the call was never answered, which is not the same as 0."""
    cost_usd_at_most: float | None = None
    """For a call whose tokens nobody reported, such as one that was never answered: the most that it can cost."""
    cached: bool = False
    """Whether the answer was in a journal, so that this time nothing was asked or paid; all else is as it was then."""


ErrorType = Literal["invalid_article", "provider_error", "rejected", "unavailable"]
"""What is wrong. `rejected`: a key, endpoint, model or permission; `unavailable`: a provider that is down for long."""


class ArticleError(BaseModel):
    """Why one article has no answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ErrorType
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
    """Version in MLflow's prompt registry; None for a local model, or where it was never registered."""
    prompt_hash: str | None = None
    """sha256 of the prompt's texts; None for a local model."""
    unknown_reason: str | None = None
    """Why a label is `Unknown` although the model answered."""
    calls: tuple[Call, ...] = ()
    error: ArticleError | None = None
