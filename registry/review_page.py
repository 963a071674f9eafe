"""A review as it is shown: who is who, side by side, what is known beyond chance, and what would be approved."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table

from eval.render import with_interval
from eval.runs import candidates_measured_on, load_predictions
from eval.statistics.comparison import Comparison
from eval.statistics.pairs import common_rows
from registry.evidence import Measurement
from registry.promotion import Consent, Review
from registry.refusals import explained

FIGURES = (
    *("category_accuracy", "category_macro_f1", "sentiment_accuracy", "joint_accuracy", "unknown_rate", "error_rate"),
    *("latency_ms_p50", "latency_ms_p95", "cost_usd_per_1k"),
)
EXAMPLES = 5
TITLE_CHARS = 60


class LabelChange(NamedTuple):
    """An article whose category the challenger gives another label than the champion."""

    id: str
    title: str
    gold: str
    champion: str
    challenger: str


def review_steps(review: Review) -> Iterator[RenderableType]:
    """Steps one to three of a promotion."""
    challenger, champion = review.evidence.candidate, review.evidence.champion
    yield f"[1/5] Challenger: {described(challenger)}"
    if champion is None:
        yield "[2/5] Champion: none, the champion was deleted. There is nothing to compare with."
    else:
        yield f"[2/5] Champion: {described(champion)}"
    dataset = challenger.dataset
    rows = f"{dataset.rows:,} articles, digest {dataset.digest[:12]}"
    yield f"[3/5] Side by side on {dataset.path} ({rows}, 95 % intervals)"
    yield figures_table(challenger, champion)
    for verdict in review.evidence.gates:
        if verdict.warning or not verdict.passed:
            yield f"  {verdict.word}  {verdict.reason}"
    for comparison in review.evidence.comparisons:
        yield f"  {comparison_line(comparison)}"
    yield f"  {chosen_line(review)}"
    yield from (f"  {line}" for line in change_lines(review))
    word = "suffices" if review.sufficient.passed else "does not suffice"
    yield f"The evidence {word} without a person: {review.sufficient.reason}"


def approval_lines(review: Review, task: str | None = None) -> list[str]:
    """What is approved by which hash, and how."""
    moves = ", ".join(f"{alias} -> version {number}" for alias, number in sorted(review.after.items()))
    how = (
        f"Approve it: set the tag {task} of version {review.challenger} to approved, then "
        f"news-classifier registry promote --approved-by-tag {task}"
        if task
        else f"Approve it: news-classifier registry promote --approve {review.hash} --approver NAME --reason TEXT"
    )
    return [
        f"Aliases afterwards: {moves}",
        f"Hash: {review.hash}",
        how,
    ]


def moved_lines(review: Review, consent: Consent) -> list[str]:
    """Steps four and five."""
    moves = [f"defeated is version {review.champion}"] if review.champion else []
    moves += [f"champion is version {review.challenger}", "the alias challenger is removed"]
    return [f"[4/5] Approved by {consent.by} ({consent.how}): {consent.reason}", f"[5/5] Moved: {'; '.join(moves)}."]


def described(measured: Measurement) -> str:
    """A version in one line."""
    candidate = measured.candidate
    return f"version {measured.version}, {measured.agent} ({candidate.provider}:{candidate.model}, {candidate.track})"


def figures_table(challenger: Measurement, champion: Measurement | None) -> Table:
    """The figures of both; what one of them lacks is a dash."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("champion", justify="right", no_wrap=True)
    table.add_column("challenger", justify="right", no_wrap=True)
    for name in FIGURES:
        sides = [with_interval(side.metrics, name) if side else "-" for side in (champion, challenger)]
        if set(sides) != {"-"}:
            table.add_row(name, *sides)
    return table


def comparison_line(comparison: Comparison) -> str:
    """What the paired comparison of one task says."""
    accuracy = comparison.accuracy
    return (
        f"{comparison.task}: {comparison.verdict}, {100 * accuracy.difference:+.2f} points of accuracy "
        f"({100 * accuracy.low:+.2f} to {100 * accuracy.high:+.2f}); only the challenger right "
        f"{comparison.only_candidate_right}, only the champion {comparison.only_baseline_right}; "
        f"{comparison.test} p = {comparison.adjusted_p_value:.3g}; "
        f"this set can show {100 * comparison.smallest_detectable:.1f} points"
    )


def chosen_line(review: Review) -> str:
    """How many were tried, so that nobody takes the luckiest for the best."""
    tried, measured = review.evidence.tried, measured_here(review)
    line = f"compared with this champion on these rows: {tried}; candidates measured on them in all: {measured}"
    if tried > 1 or measured > 2:  # the champion and this one
        line += "; the same rows were used to choose, so the best of them looks better than it is"
    return line


def measured_here(review: Review) -> int:
    """How many candidates were measured on the deciding rows."""
    with explained("count the candidates that were measured on these rows"):
        return candidates_measured_on(review.evidence.candidate.dataset.digest)


def label_changes(review: Review) -> list[LabelChange]:
    """The articles that the two give different categories, by id."""
    champion = review.evidence.champion
    if champion is None:
        return []
    theirs, ours = load_predictions(champion.run_id), load_predictions(review.evidence.candidate.run_id)
    both = common_rows(theirs, ours)
    changed = both[both["predicted_category_a"] != both["predicted_category_b"]]
    columns = ["title_a", "gold_category_a", "predicted_category_a", "predicted_category_b"]
    return [LabelChange(str(name), *row) for name, row in zip(changed.index, changed[columns].to_numpy(), strict=True)]


def change_lines(review: Review) -> Sequence[str]:
    """How many labels change, with examples."""
    changes = label_changes(review)
    rows = review.evidence.candidate.dataset.rows
    lines = [f"category changes on {len(changes)} of {rows:,} articles" + (", such as" if changes else "")]
    for change in changes[:EXAMPLES]:
        title = change.title if len(change.title) <= TITLE_CHARS else f"{change.title[:TITLE_CHARS]}..."
        lines.append(f"  {change.id}: {change.champion} -> {change.challenger} (gold {change.gold})  {title}")
    return lines


def review_json(review: Review) -> dict[str, object]:
    """Everything that is shown, and the hash that approves it, as one object."""
    return {
        "hash": review.hash,
        **review.model_dump(mode="json"),
        "after": review.after,
        "evidence_hash": review.evidence.hash,
        "candidates_measured_on_these_rows": measured_here(review),
        "label_changes": [change._asdict() for change in label_changes(review)[:EXAMPLES]],
    }
