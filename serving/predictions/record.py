"""One line of the prediction log: what one version answered about one article."""

from typing import Literal, NamedTuple

Role = Literal["champion", "challenger", "shadow"]
"""Champion and challenger answer callers; a shadow is asked the same article, and nobody waits for it."""

SCHEMA_VERSION = 1
"""Of the fields below, in every file of the log; raised with each change of them."""


class Prediction(NamedTuple):
    """What one version answered about one article."""

    time: float
    """Seconds since 1970."""
    request_id: str
    role: Role
    version: str
    """Of the registered model."""
    article_hash: str
    """See `ArticleKey`: the same text is the same article."""
    article_id: str | None
    """The caller's name for the article: what labels are joined by later."""
    category: str | None
    sentiment: str | None
    category_confidence: float | None
    """Probability of the label; None where the provider has none."""
    sentiment_confidence: float | None
    latency_ms: float
    """As whoever asked the version saw it."""
    cost_usd: float | None
    error: str | None
    """The type of the error alone: its text may quote the article."""
    title: str | None
    """None unless the settings ask for text; so is `content`."""
    content: str | None
