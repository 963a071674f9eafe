"""What tokens cost. A price that is not known stays unknown; it is never 0."""

from datetime import date
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TOKENS_PER_PRICE = 1_000_000


class Usage(NamedTuple):
    """Tokens that one call is billed for."""

    input_tokens: int
    """Tokens read, cached and newly cached ones included."""
    output_tokens: int
    """Tokens written, reasoning included."""
    cached_input_tokens: int = 0
    """Those of `input_tokens` that came from the provider's cache."""
    cache_write_tokens: int = 0
    """Those of `input_tokens` that were put into the provider's cache."""


class Price(BaseModel):
    """The price of one model, in USD per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    provider: str
    model: str
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    """For tokens read from the cache; without it they cost as much as others."""
    cache_write_input: float | None = Field(default=None, ge=0)
    """For tokens put into the cache; without it they cost as much as others."""
    batch_input: float | None = Field(default=None, ge=0)
    batch_output: float | None = Field(default=None, ge=0)
    as_of: date | None = None
    """When the price was looked up; the table's date unless given."""
    source: str | None = None
    """Where; the table's source unless given."""

    def cost_usd(self, usage: Usage) -> float:
        """What a call with this usage costs, in USD."""
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write_input is None else self.cache_write_input
        plain = max(usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, 0)
        total = (
            plain * self.input
            + usage.cached_input_tokens * cached
            + usage.cache_write_tokens * written
            + usage.output_tokens * self.output
        )
        return total / TOKENS_PER_PRICE

    def cost_usd_at_most(self, request_bytes: int, output_cap: int) -> float:
        """The most that a call can cost: every byte of the request a token, the whole output cap written."""
        dearest = max(self.input, self.cache_write_input or 0)
        return (request_bytes * dearest + output_cap * self.output) / TOKENS_PER_PRICE


class PriceTable(BaseModel):
    """`config/prices.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(pattern="^USD$")
    as_of: date
    """When the prices were looked up."""
    source: str
    """Where they were looked up."""
    prices: tuple[Price, ...]

    @model_validator(mode="after")
    def _models_are_distinct(self) -> Self:
        names = [(price.provider, price.model) for price in self.prices]
        if twice := sorted({f"{provider}:{model}" for provider, model in names if names.count((provider, model)) > 1}):
            raise ValueError(f"there are two prices of {', '.join(twice)}; keep one")
        return self

    def of(self, provider: str, model: str) -> Price | None:
        """The price of a model, with its date and source; None where it is not known."""
        for price in self.prices:
            if (price.provider, price.model) == (provider, model):
                origin = {"as_of": price.as_of or self.as_of, "source": price.source or self.source}
                return price.model_copy(update=origin)
        return None
