"""Evaluations with known answers, logged as real ones are: figures, predictions, parameters, tags."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import mlflow

from agent.labels import LabelSet
from agent.records import Classification
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.files import write_prediction_table
from eval.labeled_set import LabeledSet
from eval.metrics import all_figures, flatten
from eval.outcomes import Answer, Prediction, task_outcomes
from eval.tags import COMPLETE_TAG
from eval.tracking import experiment_id

MISSING = float("inf")
"""Given as a figure to take it out."""


class LoggedRuns(NamedTuple):
    """Logs evaluations into the store of a test."""

    labels: LabelSet
    folder: Path

    def log(
        self,
        dataset: LabeledSet,
        *,
        right: int,
        agent: str = "local-sklearn",
        track: str = "local",
        model: str = "news-sklearn",
        provider: str = "sklearn",
        figures: Mapping[str, float] = {},
        partial: str | None = None,
        tags: Mapping[str, str] = {},
        predictions: bool = True,
        params: Mapping[str, str] | None = None,
    ) -> str:
        """Log a run whose first `right` answers are right in both tasks, and return its id."""
        answers = predicted(dataset, self.labels, right)
        metrics = flatten(all_figures(task_outcomes(dataset, answers, self.labels), answers)) | figures
        with mlflow.start_run(experiment_id=experiment_id(f"news-classifier-{track}")) as run:
            record = EvaluationRecord(
                run_id=run.info.run_id,
                run_name=f"{track} run",
                started_at=datetime.now(UTC),
                model_uri="models:/m-1",
                agent=agent,
                candidate=CandidateRecord.model_validate(
                    {"provider": provider, "model": model, "track": track, "model_hash": None}
                    | {"config_hash": "c", "code_hash": "k"}
                ),
                dataset=DatasetRecord(path=str(dataset.path), rows=len(dataset.rows), digest=dataset.digest),
                metrics={name: value for name, value in metrics.items() if value != MISSING},
                artifacts=[],
                fresh_calls=0,
                cached_calls=0,
                partial=partial,
            )
            mlflow.log_params(params or {"agent": agent})
            mlflow.log_text(record.model_dump_json(), EVALUATION_FILE)
            if predictions:
                write_prediction_table(self.folder / "predictions.csv", answers)
                mlflow.log_artifact(str(self.folder / "predictions.csv"))
            own = {"track": track, "provider": provider, "model": model}
            mlflow.set_tags({**tags, **own, COMPLETE_TAG: "partial" if partial else "true"})
            return str(run.info.run_id)


def predicted(dataset: LabeledSet, labels: LabelSet, right: int) -> Sequence[Prediction]:
    """An answer to each article; wrong ones are another configured label."""
    return [
        Prediction(
            row,
            Answer.of(
                Classification(
                    category=another(labels.by_task["category"], row.gold["category"], place >= right),
                    sentiment=another(labels.by_task["sentiment"], row.gold["sentiment"], place >= right),
                    category_probabilities={name: 1 / len(labels.category_names) for name in labels.category_names},
                    provider="p",
                    model="m",
                ),
                labels,
            ),
        )
        for place, row in enumerate(dataset.rows)
    ]


def another(names: Sequence[str], gold: str, wrong: bool) -> str:
    """The gold label, or the one after it."""
    return names[(names.index(gold) + wrong) % len(names)]
