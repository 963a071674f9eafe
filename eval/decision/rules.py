"""The rules of a decision: pure functions over measured figures and paired comparisons.

A rule names the candidate that it chooses, or says why it does not hold, or what is missing for it to be answered. A
figure that was not measured wins nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from scipy.stats import norm

from agent.config import Track
from eval.decision.config import DecisionConfig, RuleName
from eval.statistics.comparison import TIE, Comparison, adjusted
from eval.statistics.intervals import CONFIDENCE
from eval.statistics.power import ALPHA, articles_needed

Outcome = Literal["applied", "fired", "does not hold", "open"]
"""`applied`: a constraint that left these candidates. `open`: figures are missing or too uncertain."""


class Candidate(BaseModel):
    """The measured figures of one candidate; None where one was not measured."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    name: str
    """Of the agent, with the start of the run id where two runs share it."""
    provider: str
    model: str
    track: Track
    residency: Literal["outside", "inside", "own"]
    """Where articles go: outside, into Databricks, or to machines of our own."""
    accuracy: float
    """Of the task that decides, on all articles."""
    accuracy_low: float | None
    """Lower end of the 95 % interval."""
    accuracy_high: float | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    latency_ms_p95_low: float | None
    latency_ms_p95_high: float | None
    cost_usd_per_1k: float | None
    """Of calls; a machine of one's own is not in it."""
    cost_usd_per_day: float | None
    """At the configured volume."""


class Contest(NamedTuple):
    """Candidates measured on the same articles."""

    candidates: tuple[Candidate, ...]
    rows: int
    """Labelled articles."""
    compare: Callable[[Candidate, Candidate], Comparison]
    """A candidate, the second, against a baseline, the first."""


class Finding(NamedTuple):
    """What a rule says."""

    outcome: Outcome
    reason: str
    candidates: tuple[Candidate, ...] = ()
    """The chosen one, or those that a constraint leaves."""
    more_articles: int | None = None
    """Labelled articles beyond those there are that would answer an open rule; None where none would."""


def inside_only(contest: Contest, config: DecisionConfig) -> Finding:
    """Only candidates inside Databricks and on machines of our own."""
    inside = tuple(candidate for candidate in contest.candidates if candidate.residency != "outside")
    if not inside:
        return Finding("does not hold", "governance requires an inside candidate and none was measured")
    left_out = [candidate.name for candidate in contest.candidates if candidate not in inside]
    return Finding("applied", f"left out, since articles would leave: {listed(left_out)}", inside)


def cheaper_inside(contest: Contest, config: DecisionConfig) -> Finding:
    """The cheapest inside candidate that saves enough and lacks less accuracy than the margin.

    It is measured against the most accurate external one, of those within the budget where there are any. The upper
    bound of the difference is that of the paired 95 % interval, widened by Bonferroni where several inside candidates
    have their chance.
    """
    outside = [candidate for candidate in contest.candidates if candidate.residency == "outside"]
    inside = [candidate for candidate in contest.candidates if candidate.residency != "outside"]
    if not outside or not inside:
        return Finding("does not hold", f"there is no {'inside' if outside else 'external'} candidate to compare with")
    external = min([one for one in outside if fits(one, config)] or outside, key=by_accuracy)
    if external.cost_usd_per_day is None:
        return Finding("open", f"the cost of {external.name}, the most accurate external one, was not measured")
    margin = f"{100 * config.accuracy_margin:g} points"
    cheap = [candidate for candidate in inside if (saving(candidate, external) or 0) > config.cost_saving]
    if not cheap:
        shown = listed(f"{candidate.name} {_percent(saving(candidate, external))}" for candidate in inside)
        return Finding(
            "does not hold",
            f"no inside one saves more than {config.cost_saving:.0%} of {external.name}'s cost: {shown}",
        )
    comparisons = {candidate.run_id: contest.compare(candidate, external) for candidate in cheap}
    bounds = {run_id: upper_bound(comparison, len(cheap)) for run_id, comparison in comparisons.items()}
    facts = {
        candidate.run_id: f"{difference_of(external, candidate, comparisons[candidate.run_id])}, "
        f"upper bound {points(bounds[candidate.run_id])}, saving {_percent(saving(candidate, external))}"
        for candidate in cheap
    }
    unknown = listed(candidate.name for candidate in inside if candidate.cost_usd_per_day is None)
    missing = f"; without a measured cost: {unknown}" if unknown else ""
    within = [candidate for candidate in cheap if bounds[candidate.run_id] < config.accuracy_margin]
    if within:
        chosen = min(within, key=by_cost)
        others = listed(fact for run_id, fact in facts.items() if run_id != chosen.run_id)
        seen = f"; also asked: {others}" if others else ""
        return Finding("fired", f"accuracy within {margin}: {facts[chosen.run_id]}{seen}{missing}", (chosen,))
    shown = f"{listed(facts.values())}{missing}"
    undecided = [one for one in comparisons.values() if one.accuracy.low < config.accuracy_margin]
    if not undecided:
        return Finding("does not hold", f"accuracy is not within {margin}: {shown}")
    needed = [
        articles_needed(config.accuracy_margin - one.accuracy.difference, discordance(one), alpha=ALPHA / len(cheap))
        for one in undecided
        if one.accuracy.difference < config.accuracy_margin
    ]
    more = min((number for number in needed if number), default=None)
    return Finding("open", f"not shown to be within {margin}: {shown}", (), beyond(contest.rows, more))


def most_accurate(contest: Contest, config: DecisionConfig) -> Finding:
    """The most accurate candidate of those whose cost is known to fit the budget, if it is shown to be."""
    able = [candidate for candidate in contest.candidates if fits(candidate, config)]
    unable = listed(
        f"{candidate.name} ({'no measured cost' if (cost := candidate.cost_usd_per_day) is None else f'${cost:,.2f}'})"
        for candidate in contest.candidates
        if candidate not in able
    )
    without = f"not within the budget of ${config.budget_usd_per_day:,.2f} a day: {unable}"
    if not able:
        return Finding("does not hold", without)
    found = best_of(contest._replace(candidates=tuple(able)))
    return found._replace(reason=f"{found.reason}; {without}") if unable else found


def lowest_p95(contest: Contest, config: DecisionConfig) -> Finding:
    """The lowest measured p95; of those whose intervals reach the lowest one's, the most accurate."""
    measured = [candidate for candidate in contest.candidates if candidate.latency_ms_p95 is not None]
    unmeasured = listed(candidate.name for candidate in contest.candidates if candidate not in measured)
    missing = f"; not measured: {unmeasured}" if unmeasured else ""
    if not measured:
        return Finding("open", f"no latency was measured{missing}")
    target = config.latency_p95_ms
    able = [candidate for candidate in measured if target is None or _p95_high(candidate) <= target]
    shown = listed(f"{candidate.name} {_p95(candidate)}" for candidate in measured)
    if not able:
        return Finding("does not hold", f"no p95 is shown to be within {target:,.0f} ms: {shown}{missing}")
    fastest = min(able, key=lambda candidate: (candidate.latency_ms_p95, *by_accuracy(candidate)))
    even = [candidate for candidate in able if _p95_low(candidate) <= _p95_high(fastest)]
    chosen = min(even, key=by_accuracy)
    why = f"the most accurate of those whose intervals overlap ({len(even)})" if len(even) > 1 else "the lowest"
    return Finding("fired", f"p95 of {chosen.name} is {why}: {shown}{missing}", (chosen,))


RULES: Mapping[RuleName, Callable[[Contest, DecisionConfig], Finding]] = {
    "inside_only": inside_only,
    "cheaper_inside": cheaper_inside,
    "most_accurate": most_accurate,
    "lowest_p95": lowest_p95,
}


def best_of(contest: Contest) -> Finding:
    """The most accurate candidate, against each other one with Holm's adjustment; of equal ones, the cheapest."""
    leader, *others = sorted(contest.candidates, key=by_accuracy)
    if not others:
        return Finding("fired", f"{leader.name} is the only one", (leader,))
    comparisons = adjusted([contest.compare(other, leader) for other in others])
    facts = listed(
        f"{difference_of(leader, other, comparison)}, p = {comparison.adjusted_p_value:.2g}, {comparison.verdict}"
        for other, comparison in zip(others, comparisons, strict=True)
    )
    undecided = [comparison for comparison in comparisons if comparison.verdict not in ("better", "tie")]
    if undecided:
        needed = [articles_that_settle(comparison) for comparison in undecided]
        most = None if None in needed else max(number for number in needed if number)
        return Finding("open", f"the most accurate one is not known: {facts}", (), beyond(contest.rows, most))
    equal = [other for other, comparison in zip(others, comparisons, strict=True) if comparison.verdict == "tie"]
    chosen = min([leader, *equal], key=by_cost)
    why = f"{chosen.name} is the cheapest of {1 + len(equal)} equal ones" if equal else f"{leader.name} leads"
    return Finding("fired", f"{why}: {facts}", (chosen,))


def fits(candidate: Candidate, config: DecisionConfig) -> bool:
    """Whether a candidate's cost was measured and is within the budget."""
    return candidate.cost_usd_per_day is not None and candidate.cost_usd_per_day <= config.budget_usd_per_day


def upper_bound(comparison: Comparison, chances: int) -> float:
    """Upper end of the paired 95 % interval, as wide as Bonferroni asks for where so many candidates have a chance."""
    tail = (1 - CONFIDENCE) / 2
    wider = float(norm.isf(tail / chances) / norm.isf(tail))
    return comparison.accuracy.difference + wider * (comparison.accuracy.high - comparison.accuracy.difference)


def discordance(comparison: Comparison) -> float:
    """Share of the articles that exactly one of the two got right."""
    return (comparison.only_baseline_right + comparison.only_candidate_right) / comparison.rows


def saving(candidate: Candidate, external: Candidate) -> float | None:
    """Share of the external one's cost that a candidate saves; None where a cost is not known or there is none."""
    if candidate.cost_usd_per_1k is None or not external.cost_usd_per_1k:
        return None
    return 1 - candidate.cost_usd_per_1k / external.cost_usd_per_1k


def by_accuracy(candidate: Candidate) -> tuple[float, float, float, str]:
    """Sort key: the most accurate first; equal ones by cost, latency and name."""
    return (-candidate.accuracy, *by_cost(candidate)[:1], *by_cost(candidate)[2:])


def by_cost(candidate: Candidate) -> tuple[float, float, float, str]:
    """Sort key: the cheapest first, unknown costs last; equal ones by accuracy, latency and name."""
    unknown = float("inf")
    cost = unknown if candidate.cost_usd_per_1k is None else candidate.cost_usd_per_1k
    latency = unknown if candidate.latency_ms_p95 is None else candidate.latency_ms_p95
    return cost, -candidate.accuracy, latency, candidate.name


def articles_that_settle(comparison: Comparison) -> int | None:
    """Articles that show the observed difference, or that it is none that matters, whichever are fewer."""
    observed = abs(comparison.accuracy.difference)
    share = discordance(comparison)
    shown = articles_needed(observed, share, alpha=ALPHA / comparison.comparisons)
    equal = articles_needed(TIE - observed, share, alpha=2 * ALPHA) if observed < TIE else None
    return min((number for number in (shown, equal) if number), default=None)


def beyond(rows: int, needed: int | None) -> int | None:
    """Articles that are missing; at least one, since those that are there did not do."""
    return None if needed is None else max(needed - rows, 1)


def difference_of(candidate: Candidate, baseline: Candidate, comparison: Comparison) -> str:
    """A difference of accuracy with its paired 95 % interval, for people."""
    accuracy = comparison.accuracy
    ends = f"[{100 * accuracy.low:+.2f}, {100 * accuracy.high:+.2f}]"
    return f"{candidate.name} minus {baseline.name} {points(accuracy.difference)} {ends}"


def points(difference: float) -> str:
    """A difference of two fractions, for people."""
    return f"{100 * difference:+.2f} points"


def listed(parts: Iterable[str]) -> str:
    """Facts one after the other."""
    return "; ".join(parts)


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{fraction:.0%}"


def _p95(candidate: Candidate) -> str:
    return f"{candidate.latency_ms_p95:,.1f} ms [{_p95_low(candidate):,.1f}, {_p95_high(candidate):,.1f}]"


def _p95_low(candidate: Candidate) -> float:
    return next(value for value in (candidate.latency_ms_p95_low, candidate.latency_ms_p95) if value is not None)


def _p95_high(candidate: Candidate) -> float:
    return next(value for value in (candidate.latency_ms_p95_high, candidate.latency_ms_p95) if value is not None)
