"""Which way each figure should go. A figure that is not listed has no good direction, such as a count of articles."""

from collections.abc import Mapping
from typing import Literal

from agent.labels import TASKS

Direction = Literal["up", "down"]

UP = (
    *("accuracy", "macro_f1", "macro_precision", "macro_recall", "weighted_f1", "f1", "precision", "recall"),
    *("roc_auc", "pr_auc", "answered", "agreement"),
)
DOWN = (
    *("log_loss", "brier", "ece", "unknown_rate", "error_rate", "failed", "flip_rate", "obeyed_rate", "unstable_rate"),
    *("latency_ms_p50", "latency_ms_p95", "latency_ms_p99", "calls", "unanswered_calls", "input_tokens"),
    *("output_tokens", "cost_usd", "cost_usd_at_most", "cost_usd_per_1k", "cost_usd_per_million"),
)
DIRECTIONS: Mapping[str, Direction] = {**dict.fromkeys(UP, "up"), **dict.fromkeys(DOWN, "down")}
"""By the name of the metric without its task and label: `category_f1.Sports` stands under `f1`."""
PREFIXES = (*(f"{task}_" for task in TASKS), "joint_", "label_")


def direction_of(metric: str) -> Direction | None:
    """The good direction of a metric; None where it has none."""
    stem = metric.partition(".")[0]
    for prefix in PREFIXES:
        stem = stem.removeprefix(prefix)
    return DIRECTIONS.get(stem)
