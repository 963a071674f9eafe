"""Whether a version performs as an existing one does, so that it need not be registered again."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from registry.gates.figures import Number, reaches

QUALITY = ("category_accuracy", "category_macro_f1", "sentiment_accuracy")
PRICE = ("cost_usd_per_1k", "latency_ms_p95")


class DuplicateRule(BaseModel):
    """When a version performs as an existing one does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within: Number = Field(default=0.001, ge=0)
    """Largest difference of each figure of quality, a fraction."""
    clearly_less: Number = Field(default=0.5, gt=0, lt=1)
    """Cost or p95 latency of less than this share of the other's makes it no duplicate."""


def is_duplicate(rule: DuplicateRule, metrics: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether a version performs as the other does, and is neither clearly cheaper nor clearly faster.

    Both are of the same rows. A figure that is not a number is like no other.
    """
    for name in QUALITY:
        if (name in metrics) != (name in other):
            return False
        if name in metrics and not reaches(rule.within, abs(metrics[name] - other[name])):
            return False
    return not any(
        name in metrics and name in other and metrics[name] < rule.clearly_less * other[name] for name in PRICE
    )
