"""Two runs side by side: the articles that both answered, with gold and both predictions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from agent.labels import TASKS, UNKNOWN
from eval.outcomes import Integers, TaskOutcome, joint_outcome

IDENTITY = ["article_hash", "gold_category", "gold_sentiment"]
"""Columns that must agree for two rows of one id to be the same article."""


class Pair(NamedTuple):
    """One task of two runs over the same articles, in the same order."""

    baseline: TaskOutcome
    candidate: TaskOutcome


def paired_outcomes(baseline: pd.DataFrame, candidate: pd.DataFrame) -> list[Pair]:
    """The tasks that both runs judge, over the articles that both answered; empty where they have none in common.

    Args:
        baseline: As `eval.runs.load_predictions` reads it.
        candidate: The same of the other run.
    """
    both = common_rows(baseline, candidate)
    if both.empty:
        return []
    stories = _numbers(both["story_id_a"])
    pairs = []
    for task in TASKS:
        columns = [f"gold_{task}_a", f"predicted_{task}_a", f"predicted_{task}_b"]
        if not (both[columns] == "").any(axis=None):
            labels = sorted(set(both[columns].to_numpy().ravel()) - {UNKNOWN})
            gold, first, second = (_indices(both[column], labels) for column in columns)
            name, known = str(task), tuple(labels)
            pairs.append(
                Pair(
                    TaskOutcome(name, known, gold, first, None, stories),
                    TaskOutcome(name, known, gold, second, None, stories),
                )
            )
    if len(pairs) == len(TASKS):
        pairs.append(Pair(*(joint_outcome(first, second) for first, second in zip(*pairs, strict=True))))
    return pairs


def common_rows(baseline: pd.DataFrame, candidate: pd.DataFrame) -> pd.DataFrame:
    """The articles that both runs answered, the columns of the first with `_a`, of the second with `_b` behind them."""
    both = baseline.merge(candidate, left_index=True, right_index=True, suffixes=("_a", "_b"))
    same = [both[f"{name}_a"] == both[f"{name}_b"] for name in IDENTITY]
    return both[np.logical_and.reduce(same)]


def _indices(column: "pd.Series[str]", labels: Sequence[str]) -> Integers:
    index = {label: position for position, label in enumerate(labels)}
    return np.array([index.get(label, len(labels)) for label in column])


def _numbers(stories: "pd.Series[str]") -> Integers | None:
    if (stories == "").all():
        return None
    names = stories.where(stories != "", [f"\0{place}" for place in range(len(stories))])
    return np.asarray(pd.factorize(names)[0])
