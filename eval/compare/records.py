"""Runs side by side: the records that tables, pages and machines are given."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.config import Track
from eval.evaluation import DatasetRecord
from eval.metrics.direction import Direction
from eval.statistics.comparison import Comparison


class MeasuredFigure(BaseModel):
    """One figure of a run, with its 95 % interval where it has one."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float | None = None
    high: float | None = None


class Change(BaseModel):
    """One figure of a run minus that of the baseline. What one of them lacks is None, never 0."""

    model_config = ConfigDict(frozen=True)

    baseline: float | None
    candidate: float | None
    difference: float | None
    relative: float | None
    """The difference as a fraction of the baseline's size; None too where the baseline is 0 and the run is not."""
    direction: Direction | None
    """Which way is good; None for a figure that has no good direction."""
    outcome: Literal["better", "worse"] | None
    """Only where the difference is beyond what chance explains; always None without a direction."""


class CommonRows(BaseModel):
    """How many articles two runs have in common: same id, text and gold labels."""

    model_config = ConfigDict(frozen=True)

    same_set: bool
    """Whether both were measured on the same labelled set, by its digest."""
    common: int
    baseline: int
    candidate: int

    @property
    def all_common(self) -> bool:
        """Whether both have the same rows."""
        return self.common == self.baseline == self.candidate


class AgainstBaseline(BaseModel):
    """What a run is beside the baseline."""

    model_config = ConfigDict(frozen=True)

    rows: CommonRows
    changed: tuple[str, ...]
    """What is not as in the baseline: fields of the candidate (`model`, `prompt_hash`, ...) and `dataset`."""
    changes: dict[str, Change]
    """Every figure that one of the two has."""
    comparisons: tuple[Comparison, ...]
    """One for each task, over the common rows; empty where there are none, and then nothing is said about chance."""


class RunBeside(BaseModel):
    """One run among others."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_name: str
    agent: str
    provider: str
    model: str
    track: Track
    dataset: DatasetRecord
    started_at: datetime
    git_commit: str | None
    partial: str | None
    """Why not every article was asked; None for a whole run."""
    figures: dict[str, MeasuredFigure]


class ComparedRun(RunBeside):
    """One run beside the baseline."""

    against: AgainstBaseline


class ThresholdResult(BaseModel):
    """What one `--fail-on` says about one run."""

    model_config = ConfigDict(frozen=True)

    threshold: str
    metric: str
    run_id: str
    agent: str
    broken: bool
    reason: str


class ComparedRuns(BaseModel):
    """Runs beside one baseline."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["comparison"] = "comparison"
    schema_version: Literal[1] = 1
    baseline: RunBeside
    candidates: tuple[ComparedRun, ...]
    thresholds: tuple[ThresholdResult, ...] = ()

    @property
    def broken(self) -> list[ThresholdResult]:
        """The thresholds that say no."""
        return [result for result in self.thresholds if result.broken]


class GroupMean(BaseModel):
    """A figure of a group: the mean over its runs that have it, weighted by their articles."""

    model_config = ConfigDict(frozen=True)

    mean: float
    runs: int
    """How many have it."""


class RunGroup(BaseModel):
    """Runs that share a track, provider, model or tag."""

    model_config = ConfigDict(frozen=True)

    value: str | None
    """What they share; None for runs without the tag."""
    run_ids: tuple[str, ...]
    articles: int
    datasets: int
    """How many labelled sets they were measured on. Means over several are no comparison."""
    partial: int
    """How many of the runs are partial."""
    means: dict[str, GroupMean]


class GroupedRuns(BaseModel):
    """Runs in groups."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["groups"] = "groups"
    schema_version: Literal[1] = 1
    by: str
    groups: tuple[RunGroup, ...]


class Trend(BaseModel):
    """A candidate over its last runs, oldest first."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["trend"] = "trend"
    schema_version: Literal[1] = 1
    agent: str
    runs: tuple[RunBeside, ...]

    @property
    def digests(self) -> list[str]:
        """The labelled sets, in the order in which they were first used."""
        return list(dict.fromkeys(run.dataset.digest for run in self.runs))

    def series(self, metric: str) -> list[list[tuple[int, MeasuredFigure]]]:
        """For each labelled set the place of its runs and their figure; only whole runs that have it."""
        return [
            [
                (place, run.figures[metric])
                for place, run in enumerate(self.runs)
                if run.dataset.digest == digest and metric in run.figures and not run.partial
            ]
            for digest in self.digests
        ]
