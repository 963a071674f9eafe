"""The probabilities that a run logged with its answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent.errors import DataError
from agent.labels import Task
from eval.files import inert

ANSWERS_FILE = "predictions.json"


def load_probabilities(run_id: str, task: Task) -> pd.DataFrame:
    """Probabilities of the articles that have them, a column for each label, indexed by `id` as in `predictions.csv`.

    Raises:
        DataError: the run has no answers, or they cannot be read.
    """
    shares: dict[str, dict[str, float]] = {}
    try:
        for row in _answers(Path(MlflowClient().download_artifacts(run_id, ANSWERS_FILE))):
            if given := row["answer"].get(f"{task}_probabilities"):
                shares[inert(row["id"])] = given
        return pd.DataFrame.from_dict(shares, orient="index", dtype=float).fillna(0.0)
    except (MlflowException, OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"Run {run_id!r} has no {ANSWERS_FILE} that can be read: {err}. Evaluate again.") from err


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    """A line for each answer, as `eval.files.write_records` writes them, so that memory does not grow with the file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if (text := line.strip().rstrip(",")) not in ("", "[", "]"):
                yield json.loads(text)
