"""`--fail-on`: what a difference from the baseline must not be."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.errors import DataError
from eval.compare.records import Change, ComparedRun, ComparedRuns, RunBeside, ThresholdResult
from eval.metrics.direction import direction_of

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FORM = re.compile(
    r"\s*(?P<metric>.+?)\s*(?P<sign><=|>=|<|>)\s*(?P<limit>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)\s*(?P<percent>%?)\s*"
)
EXPECTED = "METRIC, then <, <=, > or >=, then a number, with % for a share of the baseline: category_accuracy<-0.01"


class Threshold(NamedTuple):
    """A difference, candidate minus baseline, that must not be."""

    text: str
    metric: str
    sign: str
    limit: float
    """In the figure's own unit, or a fraction of the baseline."""
    relative: bool

    def is_broken(self, difference: float) -> bool:
        """Whether a difference is what must not be."""
        return OPERATORS[self.sign](difference, self.limit)


def parse_threshold(text: str) -> Threshold:
    """`category_accuracy<-0.01` or `latency_ms_p95>20%`. Raises ValueError for another form."""
    found = FORM.fullmatch(text)
    if found is None or not math.isfinite(float(found["limit"])):
        raise ValueError(f"{text!r} is no threshold; expected {EXPECTED}")
    relative = bool(found["percent"])
    limit = float(found["limit"]) / (100 if relative else 1)
    return Threshold(text.strip(), found["metric"], found["sign"], limit, relative)


def with_thresholds(compared: ComparedRuns, thresholds: Sequence[Threshold]) -> ComparedRuns:
    """The same with what each threshold says about each candidate.

    Raises:
        DataError: a threshold names a metric that no run has and that is none of ours.
    """
    for threshold in thresholds:
        check_metric(threshold, [compared.baseline, *compared.candidates])
    results = [judge(threshold, compared.baseline, run) for run in compared.candidates for threshold in thresholds]
    return compared.model_copy(update={"thresholds": tuple(results)})


def check_metric(threshold: Threshold, runs: Sequence[RunBeside]) -> None:
    """Raise DataError for a metric that nobody knows. One that is only missing in these runs is not unknown."""
    known = {name for run in runs for name in run.figures}
    metric = threshold.metric
    if metric in known or ("." not in metric and direction_of(metric)):
        return
    allowed = sorted(name for name in known if "." not in name and name.isprintable())
    raise DataError(
        f"--fail-on {threshold.text!r}: none of the runs has a metric {metric!r}. "
        f"Available: {', '.join(allowed)}; of a label, category_f1.LABEL and the like."
    )


def judge(threshold: Threshold, baseline: RunBeside, run: ComparedRun) -> ThresholdResult:
    """Whether a candidate breaks a threshold. What cannot be judged does."""
    change = run.against.changes.get(threshold.metric)
    difference = None if change is None else change.relative if threshold.relative else change.difference
    problem = unjudgeable(threshold, baseline, run, change, difference)
    if problem or difference is None:
        broken, reason = True, problem or "it cannot be judged"
    else:
        broken = threshold.is_broken(difference)
        reason = (
            f"the difference is {difference:+.2%}" if threshold.relative else f"the difference is {difference:+.6g}"
        )
    return ThresholdResult(
        threshold=threshold.text,
        metric=threshold.metric,
        run_id=run.run_id,
        agent=run.agent,
        broken=broken,
        reason=reason,
    )


def unjudgeable(
    threshold: Threshold, baseline: RunBeside, run: ComparedRun, change: Change | None, difference: float | None
) -> str | None:
    """Why a threshold cannot be judged; None where it can."""
    for one in (baseline, run):
        if one.partial:
            return f"run {one.run_id} is partial ({one.partial})"
        if threshold.metric not in one.figures:
            return f"{threshold.metric} is missing in run {one.run_id}"
    if change and difference is None:
        return f"{threshold.metric} is 0 in the baseline, so nothing can be a share of it"
    return None
