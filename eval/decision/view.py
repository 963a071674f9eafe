"""A decision for people: its table, and the same in lines for reports."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from eval.decision.decide import Decision
from eval.decision.rules import Candidate
from eval.plain_text import printable
from eval.render import short

PLACES = {"outside": "external", "inside": "Databricks", "own": "own machines"}


def decision_table(decision: Decision) -> Table:
    """Every candidate with the figures that rules ask for, the most accurate first; the chosen one has a star."""
    settings = decision.settings
    table = Table(box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("articles go to", no_wrap=True)
    for name in (f"{settings.task} accuracy", "p50 ms", "p95 ms", "$ per 1,000", "$ per day"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in decision_rows(decision):
        table.add_row(*row)
    return table


def decision_rows(decision: Decision) -> list[tuple[str, ...]]:
    """Name, place, accuracy with interval, p50, p95, $ per 1,000 and $ per day of each; a dash where one is missing."""
    ordered = sorted(decision.candidates, key=lambda candidate: -candidate.accuracy)
    return [
        (
            ("* " if candidate.run_id == decision.chosen else "  ") + printable(candidate.name),
            PLACES[candidate.residency],
            _accuracy(candidate),
            _number(candidate.latency_ms_p50, ",.1f"),
            _number(candidate.latency_ms_p95, ",.1f"),
            _number(candidate.cost_usd_per_1k, ",.4f"),
            _number(candidate.cost_usd_per_day, ",.2f"),
        )
        for candidate in ordered
    ]


def title_of(decision: Decision) -> str:
    """What was measured on what, and for how many articles a day."""
    on = f"{decision.dataset.rows:,} articles of {decision.dataset.path}" if decision.dataset else "no articles"
    return printable(f"At {decision.settings.volume_per_day:,} articles a day, measured on {on}, 95 % intervals")


def decision_lines(decision: Decision) -> list[str]:
    """The decision, its reason, what each rule said, and what was left out, a line each; plain text of one line."""
    if decision.verdict == "decided":
        verdict = f"Decided: {decision.chosen_name}, by {' and '.join(decision.rules_fired)}: {decision.reason}."
    else:
        verdict = f"Inconclusive: {decision.reason}."
    more = decision.more_articles
    settled = [f"About {more:,} more labelled article{'s' * (more > 1)} would settle it."] if more else []
    steps = [
        f"  {step.rule}: {step.outcome}"
        + (f" ({step.reason})" if step.reason and step.reason != decision.reason else "")
        for step in decision.steps
        if step.outcome != "not reached"
    ]
    left_out = [f"Left out: {run.name}, run {run.run_id}: {run.reason}." for run in decision.left_out]
    return [
        printable(line)
        for line in (
            verdict,
            f"{title_of(decision)}.",
            *settled,
            *(["Rules:"] if steps else []),
            *steps,
            *decision.notes,
            *left_out,
        )
    ]


def _accuracy(candidate: Candidate) -> str:
    if candidate.accuracy_low is None or candidate.accuracy_high is None:
        return short(candidate.accuracy)
    return f"{short(candidate.accuracy)} [{short(candidate.accuracy_low)}, {short(candidate.accuracy_high)}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
