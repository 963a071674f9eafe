"""Chance that an article of a label is given more of its probability than one of another label."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import roc_auc_score

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`roc_auc`, the mean over the labels, one against the rest; missing unless gold contains them all."""
    gold, scores = judged.outcome.gold, judged.probabilities
    if scores is None or len(np.unique(gold)) < scores.shape[1]:
        return {}
    return {"roc_auc": Figure(float(roc_auc_score(np.eye(scores.shape[1])[gold], scores, average="macro")))}
