"""Gates: pure rules over figures. A failed gate is data; a misconfigured one raises; a missing figure fails."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; YAML's `no` and `.inf` are none, so that a gate cannot be switched off by accident."""
DECIMALS = 9
"""Differences are rounded to this many places, so that floating point does not reject exactly +2 points."""


class ThresholdGate(BaseModel):
    """A figure that must reach a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    """Name of the figure, as the evaluation reports it."""
    at_least: Number
    """The value that it must reach; reaching it exactly counts."""
    basis: Literal["point", "ci_low"] = "point"
    """Whether the figure itself or the lower end of its 95 % interval must reach it."""
    min_rows: int = Field(default=0, ge=0)
    """Articles that the evaluation must have."""


class ChallengerRule(BaseModel):
    """What makes a version a challenger of the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    improvement: Number = Field(default=0.02, ge=0)
    """Points of category accuracy above the champion."""
    sentiment_may_drop: Number = Field(default=0.0, ge=0)
    """Points of sentiment accuracy that may be lost."""


class DuplicateRule(BaseModel):
    """When a version performs as an existing one does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within: Number = Field(default=0.001, ge=0)
    """Largest difference of each figure of quality."""
    clearly_less: Number = Field(default=0.5, gt=0, lt=1)
    """Cost or p95 latency of at most this share of the other's makes it no duplicate."""


class GatesConfig(BaseModel):
    """`config/gates.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gates: tuple[ThresholdGate, ...] = Field(min_length=1)
    """All must pass."""
    challenger: ChallengerRule = ChallengerRule()
    """Against the champion."""
    duplicate: DuplicateRule = DuplicateRule()
    """Against every version measured on the same rows."""


class Verdict(NamedTuple):
    """What a gate says."""

    passed: bool
    reason: str


def threshold(gate: ThresholdGate, metrics: Mapping[str, float]) -> Verdict:
    """Whether a figure reaches its threshold on enough articles."""
    name = gate.metric if gate.basis == "point" else f"{gate.metric}_{gate.basis}"
    value, rows = metrics.get(name), metrics.get("articles", 0)
    if value is None:
        return Verdict(False, f"{name} is missing")
    if rows < gate.min_rows:
        return Verdict(False, f"{name} was measured on {rows:.0f} articles, at least {gate.min_rows} are needed")
    passed = round(value - gate.at_least, DECIMALS) >= 0
    return Verdict(passed, f"{name} {value:.4f} {'>=' if passed else '<'} {gate.at_least:.4f}")


def thresholds(gates: Sequence[ThresholdGate], metrics: Mapping[str, float]) -> list[Verdict]:
    """The verdict of every gate."""
    return [threshold(gate, metrics) for gate in gates]


def beats(rule: ChallengerRule, metrics: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Whether a version is enough better than the champion, measured on the same rows."""
    needed = ("category_accuracy", "sentiment_accuracy")
    if missing := [name for name in needed if name not in metrics or name not in champion]:
        return Verdict(False, f"cannot be compared with the champion: {', '.join(missing)} is missing")
    gain, sentiment = (round(metrics[name] - champion[name], DECIMALS) for name in needed)
    if not sentiment >= -rule.sentiment_may_drop:  # so that what is no number fails
        return Verdict(False, f"sentiment accuracy is {-100 * sentiment:.2f} points below the champion's")
    passed = gain >= rule.improvement
    return Verdict(
        passed, f"category accuracy {100 * gain:+.2f} points on the champion, {100 * rule.improvement:+.2f} needed"
    )


def is_duplicate(rule: DuplicateRule, metrics: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether a version performs as the other does, and is neither clearly cheaper nor clearly faster."""
    quality = ("category_accuracy", "category_macro_f1", "sentiment_accuracy")
    for name in quality:
        if (name in metrics) != (name in other):
            return False
        if name in metrics and not round(abs(metrics[name] - other[name]), DECIMALS) <= rule.within:
            return False
    for name in ("cost_usd_per_1k", "latency_ms_p95"):
        if name in metrics and name in other and metrics[name] < rule.clearly_less * other[name]:
            return False
    return True
