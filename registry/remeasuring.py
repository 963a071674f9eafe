"""Measures a registered version again, on rows that it was not measured on."""

from collections.abc import Mapping
from pathlib import Path

from agent.budget import Budget
from agent.errors import DataError
from agent.labels import LabelSet
from agent.settings import read_settings
from eval.console import LABELS_FILE
from eval.evaluation import EvaluationRecord
from eval.labeled_set import load_labeled_set
from eval.runner import evaluate
from eval.watching import watching
from registry.measurements import Remeasure


def remeasuring(
    file: Path | None = None, columns: Mapping[str, str] | None = None, budget: Budget | None = None
) -> Remeasure:
    """Evaluates a version on the rows of an evaluation, in a process of its own, with the answers that the journal has.

    Args:
        file: The labelled set; where the evaluation had it unless given.
        columns: Which column holds a field.
        budget: What the calls may cost.
    """

    def remeasure(uri: str, like: EvaluationRecord) -> EvaluationRecord:
        path = file or Path(like.dataset.path)
        dataset = load_labeled_set(path, read_settings(LABELS_FILE, LabelSet), columns)
        if dataset.digest != like.dataset.digest:
            raise DataError(
                f"{path} has the digest {dataset.digest[:12]}, and {like.run_name} was measured on "
                f"{like.dataset.digest[:12]}, so {uri} cannot be measured on the same rows. Give that file with --data."
            )
        with watching(f"Measuring {uri} on {path}") as watch:
            return evaluate(uri, dataset, budget=budget, join=False, watch=watch)

    return remeasure
