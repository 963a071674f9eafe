"""Area under the curve of precision over recall, as average precision (steps, not interpolated)."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import average_precision_score

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`pr_auc`, the mean over the labels that gold contains, one against the rest."""
    gold, scores = judged.outcome.gold, judged.probabilities
    if scores is None:
        return {}
    present = np.unique(gold)
    is_label = gold[:, None] == present
    return {"pr_auc": Figure(float(average_precision_score(is_label, scores[:, present], average="macro")))}
