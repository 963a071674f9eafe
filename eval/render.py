"""Tables of an evaluation for people."""

from collections.abc import Mapping

from rich.table import Table

from eval.evaluation import EvaluationRecord

QUALITY = ("accuracy", "macro_f1", "macro_precision", "macro_recall")


def evaluation_table(record: EvaluationRecord) -> Table:
    """Quality of each task with 95 % intervals, then latency and cost."""
    metrics = record.metrics
    table = Table(
        title=f"{record.agent} on {record.dataset.path} ({record.dataset.rows:,} articles)", title_justify="left"
    )
    table.add_column("figure")
    for task in ("category", "sentiment", "both"):
        table.add_column(task, justify="right")
    for name in QUALITY:
        table.add_row(
            name.replace("_", " "),
            *(with_interval(metrics, f"{task}_{name}") for task in ("category", "sentiment", "joint")),
        )
    latency = " / ".join(
        f"{metrics[name]:.2f}" for name in ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99") if name in metrics
    )
    table.add_section()
    table.add_row("latency p50 / p95 / p99, ms", latency or "-", "", "")
    table.add_row(
        "cost per 1,000 articles, $",
        f"{metrics['cost_usd_per_1k']:.4f}" if "cost_usd_per_1k" in metrics else "unknown",
        "",
        "",
    )
    table.add_row("answered / failed", f"{metrics['answered']:.0f} / {metrics['failed']:.0f}", "", "")
    return table


def with_interval(metrics: Mapping[str, float], name: str) -> str:
    """A fraction as a percentage with its interval; a dash where it is missing."""
    if name not in metrics:
        return "-"
    low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
    interval = f"  [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{metrics[name]:.3f}{interval}"
