"""How many articles of each label gold contains."""

from collections.abc import Mapping

from eval.metrics.figure import Figure
from eval.metrics.judged import Judged


def measure(judged: Judged) -> Mapping[str, Figure]:
    """`support.LABEL`."""
    return {f"support.{label}": Figure(float(judged.scores.support[index])) for index, label in judged.labels_in_gold()}
