"""Accuracy and macro-F1 of two candidates over resamples of the articles that both answered."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from eval.metrics.scores import Floats, Integers, averages, scores_of_counts
from eval.outcomes import TaskOutcome
from eval.statistics.bootstrap import resampled_sums


class PairedScores(NamedTuple):
    """Figures of the baseline and of the candidate, shape (..., 2)."""

    accuracy: Floats
    macro_f1: Floats


def paired_scores(baseline: TaskOutcome, candidate: TaskOutcome) -> tuple[PairedScores, PairedScores]:
    """The figures that were measured, and those of the resamples, shape (RESAMPLES, 2).

    Cells of gold and both predictions are numbered as they appear, so that the same articles are drawn whichever of the
    two is the baseline.

    Args:
        baseline: Of n >= 1 articles.
        candidate: The same task, labels and articles in the same order.
    """
    labels = len(baseline.labels)
    width = labels + 1
    cells, codes = pd.factorize((baseline.gold * width + baseline.predicted) * width + candidate.predicted)
    gold, first, second = codes // width**2, codes // width % width, codes % width
    one_hot = np.eye(width, dtype=np.int64)[:, :labels]
    columns = [one_hot[gold]]
    for predicted in (first, second):
        columns += [one_hot[gold] * (predicted == gold)[:, None], one_hot[predicted]]
    contents = csr_array(np.hstack(columns))
    measured = np.bincount(cells) @ contents
    return _scores(measured), _scores(resampled_sums(cells, contents, baseline.stories))


def _scores(sums: Integers) -> PairedScores:
    """Figures from support, then hits and predictions of each of the two, side by side in (..., 5 * labels)."""
    support, *both = np.split(sums, 5, axis=-1)
    accuracies, means = [], []
    for hits, predicted in (both[:2], both[2:]):
        accuracies.append(hits.sum(axis=-1) / support.sum(axis=-1))
        means.append(averages(scores_of_counts(hits, predicted, support))["macro_f1"])
    return PairedScores(np.stack(accuracies, axis=-1), np.stack(means, axis=-1))
