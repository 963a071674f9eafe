"""Logs a training to MLflow, in the experiment of the local track."""

from collections.abc import Sequence

import mlflow

from agent.local_model import model_files
from eval.labeled_set import LabeledSet
from eval.stopping import uninterrupted
from eval.tracking import experiment_name, git_commit, log_dataset, run_name, tracked_run
from training.config import TrainingConfig
from training.train import TrainingReport


def log_training(report: TrainingReport, sets: Sequence[LabeledSet], config: TrainingConfig) -> str:
    """Log parameters, cross-validation figures, data digests and the model's files. Returns the run's id."""
    name = run_name("local", f"train-{config.name}")
    with tracked_run(experiment_name("local"), name, join=False) as run, uninterrupted():
        mlflow.log_params(
            {
                "name": config.name,
                "seed": config.seed,
                "folds": config.folds,
                "description_copies": config.description_copies,
                "category": config.category.model_dump(mode="json"),
                "sentiment": config.sentiment.model_dump(mode="json"),
                "training_digest": report.manifest.training_digest,
                **{f"data_digest.{item.path.name}": item.digest for item in sets},
            }
        )
        for task in report.tasks:
            mlflow.log_metrics(
                {f"cv_{task.task}_{name}": value for name, value in task._asdict().items() if name != "task"}
            )
        mlflow.log_metrics({"training_seconds": report.seconds, "model_size_bytes": report.size_bytes})
        mlflow.set_tags(
            {"track": "local", "kind": "training", **({"git_commit": commit} if (commit := git_commit()) else {})}
        )
        for item in sets:
            log_dataset(item, context="training")
        for path in model_files(report.folder):
            mlflow.log_artifact(str(path), "local_model")
        return str(run.info.run_id)
