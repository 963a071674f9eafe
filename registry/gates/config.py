"""`config/gates.yaml`: which gates there are, and what they ask."""

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from registry.gates.class_floor import ClassFloorRule
from registry.gates.cost import CostRule
from registry.gates.duplicate import DuplicateRule
from registry.gates.end_of_life import EndOfLifeRule
from registry.gates.evidence import EvidenceRule
from registry.gates.failure_rate import FailureRateRule
from registry.gates.improvement import ImprovementRule
from registry.gates.label_flip_rate import LabelFlipRateRule
from registry.gates.latency import LatencyRule
from registry.gates.threshold import ThresholdRule


class Gates(BaseModel):
    """The gates of one candidate; what is not set is off, but for `end_of_life`, which warns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: tuple[ThresholdRule, ...] = ()
    """Figures of quality that must reach a value."""
    class_floors: tuple[ClassFloorRule, ...] = ()
    """Figures that must reach a value for every label."""
    label_flip_rate: LabelFlipRateRule | None = None
    """Share of attacked articles whose label changed, a fraction; needs a red-team run."""
    latency: LatencyRule | None = None
    """p95 of an article's latency, in milliseconds."""
    cost: CostRule | None = None
    """Cost of 1,000 answered articles, in US dollars."""
    failure_rate: FailureRateRule | None = None
    """Share of articles that ended in an error, a fraction."""
    end_of_life: EndOfLifeRule = EndOfLifeRule()
    """Models that their provider retires."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_empty(cls, rule: object) -> object:
        if rule is None:
            raise ValueError("a gate that is named needs its settings; remove the name to switch it off")
        return rule

    @model_validator(mode="after")
    def _asks_something(self) -> "Gates":
        asking = [name for name in type(self).model_fields if name != "end_of_life"]
        if not any(getattr(self, name) for name in asking):
            raise ValueError(f"no gate is set, so that everything would pass; set one of {', '.join(asking)}")
        return self


class GatesConfig(BaseModel):
    """`config/gates.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gates: Gates
    """All must pass before a version may get an alias."""
    challenger: ImprovementRule = ImprovementRule()
    """What makes a version challenger of the champion, on the same rows."""
    duplicate: DuplicateRule = DuplicateRule()
    """When a version is not registered again, against every version measured on the same rows."""
    unattended: EvidenceRule = EvidenceRule()
    """What must be shown before a challenger is promoted although nobody looked."""
