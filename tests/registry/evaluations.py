"""Evaluations with known figures and predictions, logged to a real store without asking any model."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.tracking import MlflowClient

from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, LoggedEvaluation
from eval.files import COLUMNS
from eval.tags import COMPLETE_TAG, VERSION_TAG
from eval.tracking import experiment_id

SIGNATURE = """signature:
  inputs: '[{"type": "string", "required": true}]'
  outputs: '[{"type": "string", "required": true}]'
"""
CATEGORIES = ("Politics", "Sports", "Science", "Health")
SENTIMENTS = ("Positive", "Negative")


def log_evaluation(
    accuracy: float,
    sentiment: float = 0.85,
    digest: str = "d1",
    *,
    rows: int = 400,
    name: str | None = None,
    wrong: Sequence[int] | None = None,
    model_uri: str | None = None,
    **figures: float,
) -> LoggedEvaluation:
    """Log a complete evaluation of a candidate with a model of its own.

    Args:
        accuracy: Of the category.
        sentiment: Accuracy of the sentiment.
        digest: Of the labelled set.
        rows: Articles of the set.
        name: What makes it the same candidate as another; its run unless given.
        wrong: Places of the articles with a wrong category; the first ones unless given.
        model_uri: Of a model that is logged already.
        figures: Others, or the same ones otherwise.
    """
    metrics = {
        "category_accuracy": accuracy,
        "category_macro_f1": 0.9,
        "category_macro_precision": 0.9,
        "category_macro_recall": 0.9,
        "sentiment_accuracy": sentiment,
        "latency_ms_p95": 3.0,
        "cost_usd_per_1k": 0.0,
        "articles": float(rows),
    } | figures
    with mlflow.start_run(experiment_id=experiment_id("news-classifier-local")) as run:
        run_id = str(run.info.run_id)
        record = LoggedEvaluation(
            run_id=run_id,
            run_name="a run",
            started_at=datetime.now(UTC),
            model_uri=model_uri or log_model(run_id),
            agent=name or "candidate",
            candidate=CandidateRecord(
                provider="sklearn",
                model="news-sklearn",
                track="local",
                model_hash=name or run_id,
                config_hash="c",
                code_hash="k",
            ),
            dataset=DatasetRecord(path="set.jsonl", rows=rows, digest=digest),
            metrics=metrics,
            artifacts=[],
            fresh_calls=rows,
            cached_calls=0,
        )
        mlflow.log_params({"agent": record.agent, "dataset_digest": digest, "config_hash": "c", "code_hash": "k"})
        wrong = range(rows - round(accuracy * rows)) if wrong is None else wrong
        mlflow.log_text(predictions(rows, wrong, rows - round(sentiment * rows)), "predictions.csv")
        mlflow.log_text(record.model_dump_json(), EVALUATION_FILE)
        version = {VERSION_TAG: model_uri} if model_uri else {}
        mlflow.set_tags({**version, COMPLETE_TAG: "true"})
    return record


def log_model(run_id: str) -> str:
    """A logged model with a configuration, which nobody loads."""
    client = MlflowClient()
    model = client.create_logged_model(experiment_id("news-classifier-local"), source_run_id=run_id)
    folder = Path("model-files") / model.model_id
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(f"run_id: {run_id}\nflavors: {{}}\nmodel_uuid: {model.model_id}\n{SIGNATURE}")
    (folder / "config.yaml").write_text("prompt: prompt.txt\n")
    (folder / "prompt.txt").write_text("Which category?\n")
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    return f"models:/{model.model_id}"


def predictions(rows: int, wrong: Sequence[int], wrong_sentiments: int) -> str:
    """As `predictions.csv` has them."""
    frame = pd.DataFrame("", index=range(rows), columns=list(COLUMNS))
    places, missed = range(rows), {*wrong}
    frame["id"] = frame["article_hash"] = frame["title"] = [f"a{place}" for place in places]
    frame["gold_category"] = [CATEGORIES[place % 4] for place in places]
    frame["predicted_category"] = [CATEGORIES[(place + (place in missed)) % 4] for place in places]
    frame["gold_sentiment"] = [SENTIMENTS[place % 2] for place in places]
    frame["predicted_sentiment"] = [SENTIMENTS[(place + (place < wrong_sentiments)) % 2] for place in places]
    return frame.to_csv(index=False)


def unexpected(uri: str, like: object) -> LoggedEvaluation:
    """Measures nothing again, because the test does not expect that it is needed."""
    raise AssertionError(f"{uri} was measured again")
