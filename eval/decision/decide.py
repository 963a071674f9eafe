"""Which candidate goes to production: the rules of `config/decision.yaml`, asked about what was measured.

Nothing is decided on noise: differences are of the same articles, with intervals, and `inconclusive` is an answer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from agent.config import Track
from agent.errors import EvaluationError
from eval.decision.config import CONSTRAINTS, DecisionConfig, RuleName
from eval.decision.rules import RULES, Candidate, Contest, Finding, best_of
from eval.evaluation import DatasetRecord, LoggedEvaluation
from eval.selection import Selection
from eval.statistics.comparison import Comparison, compare
from eval.statistics.pairs import paired_outcomes

RESIDENCY: Mapping[Track, Literal["outside", "inside", "own"]] = {
    "external": "outside",
    "internal": "inside",
    "local": "own",
}


class Step(BaseModel):
    """What one rule said."""

    model_config = ConfigDict(frozen=True)

    rule: RuleName
    outcome: Literal["applied", "fired", "does not hold", "open", "not asked for", "not reached"]
    reason: str
    more_articles: int | None = None
    """Labelled articles that would answer it, where it is open."""


class ComparedPair(BaseModel):
    """One paired comparison that the decision rests on; p-values are its own, Holm's stand in the reason."""

    model_config = ConfigDict(frozen=True)

    baseline: str
    """Run id, as the next."""
    candidate: str
    comparison: Comparison


class LeftOut(BaseModel):
    """A run that nothing was decided on."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    name: str
    reason: str


class Decision(BaseModel):
    """The answer, the rules that gave it, and every figure that they used."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    verdict: Literal["decided", "inconclusive"]
    chosen: str | None
    """Run id of the chosen candidate; None when inconclusive."""
    chosen_name: str | None
    rules_fired: tuple[RuleName, ...]
    """Constraints that narrowed the candidates, then the rule that chose."""
    reason: str
    """With the measured figures."""
    more_articles: int | None
    """Labelled articles, beyond those there are, that would settle it; None where it is settled or none would."""
    dataset: DatasetRecord | None
    """What all candidates were measured on."""
    settings: DecisionConfig
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    comparisons: tuple[ComparedPair, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def decide(selection: Selection, predictions: Mapping[str, pd.DataFrame], settings: DecisionConfig) -> Decision:
    """Ask the rules in their order.

    Args:
        selection: Whole evaluations on one labelled set, and those on others, which are listed and not decided on.
        predictions: By run id, as `eval.runs.load_predictions` reads them, of the evaluations on the one set.
        settings: What is needed, and the rules.

    Raises:
        EvaluationError: two runs of one labelled set did not answer the same articles.
    """
    judged = [record for record in selection.records if f"{settings.task}_accuracy" in record.metrics]
    candidates = figures_of(judged, settings)
    left_out = [
        _left_out(record, settings) for record in (*selection.records, *selection.others) if record not in judged
    ]
    made: dict[tuple[str, str], Comparison] = {}

    def paired(baseline: Candidate, candidate: Candidate) -> Comparison:
        key = (baseline.run_id, candidate.run_id)
        if key not in made:
            made[key] = compare_runs(predictions[key[0]], predictions[key[1]], settings.task)
        return made[key]

    dataset = selection.records[0].dataset if selection.records else None
    contest = Contest(candidates, dataset.rows if dataset else 0, paired)
    steps, finding = ask(contest, settings)
    chosen = finding.candidates[0] if finding.outcome == "fired" else None
    return Decision(
        verdict="decided" if chosen else "inconclusive",
        chosen=chosen and chosen.run_id,
        chosen_name=chosen and chosen.name,
        rules_fired=tuple(step.rule for step in steps if step.outcome in ("applied", "fired")) if chosen else (),
        reason=finding.reason,
        more_articles=finding.more_articles,
        dataset=dataset,
        settings=settings,
        candidates=candidates,
        steps=tuple(steps),
        comparisons=tuple(
            ComparedPair(baseline=baseline, candidate=candidate, comparison=comparison)
            for (baseline, candidate), comparison in made.items()
        ),
        left_out=tuple(left_out),
        notes=tuple(_notes(candidates, chosen, settings)),
    )


def ask(contest: Contest, settings: DecisionConfig) -> tuple[list[Step], Finding]:
    """What each rule said, and what that comes to."""
    if problem := _too_little(contest, settings):
        return [Step(rule=rule.rule, outcome="not reached", reason="") for rule in settings.rules], problem
    steps: list[Step] = []
    narrowed: Finding | None = None
    ended: Finding | None = None
    for rule in settings.rules:
        if ended:
            steps.append(Step(rule=rule.rule, outcome="not reached", reason=""))
            continue
        if rule.when and not getattr(settings, rule.when):
            steps.append(Step(rule=rule.rule, outcome="not asked for", reason=f"{rule.when} is false"))
            continue
        found = RULES[rule.rule](contest, settings)
        steps.append(
            Step(rule=rule.rule, outcome=found.outcome, reason=found.reason, more_articles=found.more_articles)
        )
        if found.outcome == "applied":
            narrowed, contest = found, contest._replace(candidates=found.candidates)
        elif found.outcome == "fired" or (found.outcome == "open" and rule.when) or rule.rule in CONSTRAINTS:
            ended = found
    if ended:
        return steps, ended
    if narrowed:
        return steps, best_of(contest)
    opens = [step for step in steps if step.outcome == "open"]
    why = f"{opens[0].rule}: {opens[0].reason}" if opens else "no rule holds; say in the settings what is critical"
    return steps, Finding("open", why, (), opens[0].more_articles if opens else None)


def compare_runs(baseline: pd.DataFrame, candidate: pd.DataFrame, task: str) -> Comparison:
    """Two runs on one task and the same articles.

    Raises:
        EvaluationError: they did not answer the same articles, or not this task.
    """
    for pair in paired_outcomes(baseline, candidate):
        if pair.baseline.name == task and len(pair.baseline.gold) == len(baseline) == len(candidate):
            return compare(*pair)
    raise EvaluationError(
        f"The predictions of two runs on one labelled set are not of the same {len(baseline):,} and {len(candidate):,} "
        f"articles, or lack {task!r}. Evaluate both again: news-classifier eval run."
    )


def figures_of(records: Sequence[LoggedEvaluation], settings: DecisionConfig) -> tuple[Candidate, ...]:
    """The figures that rules ask for, of each evaluation."""
    names = Counter(record.agent for record in records)
    found = []
    for record in records:
        metrics = record.metrics
        each = metrics.get("cost_usd_per_1k")
        found.append(
            Candidate(
                run_id=record.run_id,
                name=record.agent if names[record.agent] == 1 else f"{record.agent} ({record.run_id[:8]})",
                provider=record.candidate.provider,
                model=record.candidate.model,
                track=record.candidate.track,
                residency=RESIDENCY[record.candidate.track],
                accuracy=metrics[f"{settings.task}_accuracy"],
                accuracy_low=metrics.get(f"{settings.task}_accuracy_ci_low"),
                accuracy_high=metrics.get(f"{settings.task}_accuracy_ci_high"),
                latency_ms_p50=metrics.get("latency_ms_p50"),
                latency_ms_p95=metrics.get("latency_ms_p95"),
                latency_ms_p95_low=metrics.get("latency_ms_p95_ci_low"),
                latency_ms_p95_high=metrics.get("latency_ms_p95_ci_high"),
                cost_usd_per_1k=each,
                cost_usd_per_day=None if each is None else each * settings.volume_per_day / 1000,
            )
        )
    return tuple(found)


def _too_little(contest: Contest, settings: DecisionConfig) -> Finding | None:
    if (count := len(contest.candidates)) < 2:
        had = "one was" if count else "none were"
        return Finding("open", f"it needs two candidates and {had} measured; evaluate more: news-classifier eval run")
    if contest.rows < settings.minimum_articles:
        reason = f"{contest.rows:,} labelled articles are too few, at least {settings.minimum_articles:,} are asked for"
        return Finding("open", reason, (), settings.minimum_articles - contest.rows)
    return None


def _left_out(record: LoggedEvaluation, settings: DecisionConfig) -> LeftOut:
    dataset = record.dataset
    if f"{settings.task}_accuracy" in record.metrics:
        reason = f"not comparable: measured on other articles ({dataset.path}, {dataset.rows:,} articles)"
    else:
        reason = f"it has no {settings.task}_accuracy"
    return LeftOut(run_id=record.run_id, name=record.agent, reason=reason)


def _notes(candidates: Sequence[Candidate], chosen: Candidate | None, settings: DecisionConfig) -> list[str]:
    notes = []
    if chosen and chosen.cost_usd_per_day is None:
        notes.append(f"The cost of {chosen.name} was not measured; whether it fits the budget is not known.")
    elif chosen and chosen.cost_usd_per_day is not None and chosen.cost_usd_per_day > settings.budget_usd_per_day:
        notes.append(
            f"{chosen.name} costs ${chosen.cost_usd_per_day:,.2f} a day, above the budget of "
            f"${settings.budget_usd_per_day:,.2f}; the rule that chose it does not ask about the budget."
        )
    if any(candidate.residency == "own" for candidate in candidates):
        notes.append("Costs are those of calls; the machine that a local model runs on is not in them.")
    return notes
