"""Tables of an evaluation for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from eval.evaluation import EvaluationRecord

if TYPE_CHECKING:
    from eval.redteam import RedteamRecord

ENOUGH_ROWS = 200
"""Below this many articles the figures are a trial, not a basis for a decision."""
QUALITY = ("accuracy", "macro_f1", "macro_precision", "macro_recall")


def evaluation_table(record: EvaluationRecord) -> Table:
    """Quality of each task with 95 % intervals, then latency, cost and failures."""
    metrics = record.metrics
    title = f"{record.agent} on {record.dataset.path} ({record.dataset.rows:,} articles, 95 % intervals)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for task in ("category", "sentiment", "both"):
        table.add_column(task, justify="right", no_wrap=True)
    for name in QUALITY:
        cells = (with_interval(metrics, f"{task}_{name}") for task in ("category", "sentiment", "joint"))
        table.add_row(name.replace("_", " "), *cells)
    return table


def run_lines(record: EvaluationRecord) -> list[str]:
    """Latency, cost and failures, a line each."""
    metrics = record.metrics
    latencies = [metrics[f"latency_ms_{name}"] for name in ("p50", "p95", "p99") if f"latency_ms_{name}" in metrics]
    cost = metrics.get("cost_usd_per_1k")
    few = [f"{record.dataset.rows} articles are too few to decide."] if record.dataset.rows < ENOUGH_ROWS else []
    calls = f"calls: {record.fresh_calls:,} fresh, {record.cached_calls:,} from the journal"
    paid = [calls] if record.candidate.prompt_hash else []
    return [
        *few,
        f"latency p50 / p95 / p99: {' / '.join(f'{value:.2f}' for value in latencies) or '-'} ms",
        f"cost per 1,000 articles: {'unknown' if cost is None else f'${cost:.4f}'}",
        f"answered {metrics['answered']:.0f}, failed {metrics['failed']:.0f}",
        *paid,
    ]


def redteam_lines(record: RedteamRecord) -> list[str]:
    """The flip rates with 95 % intervals, and flips by kind of attack, a line each."""
    metrics = record.metrics
    return [
        f"{record.agent} on {record.dataset}: {metrics['compared']:.0f} of {record.articles} articles compared",
        f"label flip rate: {with_interval(metrics, 'label_flip_rate')} "
        f"(category {with_interval(metrics, 'category_flip_rate')}, "
        f"sentiment {with_interval(metrics, 'sentiment_flip_rate')})",
        f"did what the attack asked for: {with_interval(metrics, 'obeyed_rate')}",
        *(f"  {kind}: {flipped} of {compared}" for kind, (compared, flipped) in record.by_attack.items()),
        f"Run {record.run_id} holds the labels with and without the attack.",
    ]


def with_interval(metrics: Mapping[str, float], name: str) -> str:
    """A fraction with its interval, leading zeros left out; a dash where it is missing."""
    if name not in metrics:
        return "-"
    low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
    return short(metrics[name]) + (f" [{short(low)}, {short(high)}]" if low is not None and high is not None else "")


def short(fraction: float) -> str:
    """Three decimals without the zero in front: .905; 1.00 is as wide."""
    return f"{fraction:.3f}".removeprefix("0")[:4]
