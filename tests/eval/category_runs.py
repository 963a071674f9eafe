"""Evaluations with known content, logged to a real store without asking any model."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import mlflow
import pandas as pd

from agent.config import Track
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.files import COLUMNS, inert
from eval.statistics.intervals import wilson
from eval.tags import COMPLETE_TAG
from eval.tracking import experiment_id, experiment_name

LABELS = ("Politics", "Sports", "Science")
PROVIDERS: Mapping[Track, str] = {"external": "openai", "internal": "databricks", "local": "sklearn"}


def gold_labels(rows: int) -> list[str]:
    return [LABELS[number % len(LABELS)] for number in range(rows)]


def with_mistakes(gold: Sequence[str], wrong: Sequence[int]) -> list[str]:
    """The gold labels, but the next one at these places."""
    places = set(wrong)
    return [LABELS[(LABELS.index(label) + (place in places)) % len(LABELS)] for place, label in enumerate(gold)]


def log_run(
    agent: str,
    track: Track,
    predicted: Sequence[str],
    *,
    gold: Sequence[str] | None = None,
    digest: str = "d1",
    usd_per_1k: float | None = None,
    p95: float | None = None,
    titles: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    probabilities: Sequence[Mapping[str, float]] | None = None,
    complete: str = "true",
    predictions: bool = True,
    path: str = "set.jsonl",
) -> EvaluationRecord:
    """Log an evaluation of the category task; figures that are not given are missing."""
    gold = gold or gold_labels(len(predicted))
    names = ids or [f"a{number}" for number in range(len(gold))]
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    interval = wilson(right, len(gold))
    assert interval
    metrics = {
        "category_accuracy": right / len(gold),
        "category_accuracy_ci_low": interval.low,
        "category_accuracy_ci_high": interval.high,
        "articles": float(len(gold)),
    }
    if usd_per_1k is not None:
        metrics["cost_usd_per_1k"] = usd_per_1k
    if p95 is not None:
        spread = {"latency_ms_p95_ci_low": 0.9 * p95, "latency_ms_p95_ci_high": 1.1 * p95}
        metrics |= {"latency_ms_p50": p95 / 2, "latency_ms_p95": p95} | spread
    with mlflow.start_run(experiment_id=experiment_id(experiment_name(track))) as run:
        record = EvaluationRecord(
            run_id=run.info.run_id,
            run_name="a run",
            started_at=datetime.now(UTC),
            model_uri="models:/m-1",
            agent=agent,
            candidate=CandidateRecord(
                provider=PROVIDERS[track], model=agent, track=track, model_hash=None, config_hash="c", code_hash="k"
            ),
            dataset=DatasetRecord(path=path, rows=len(gold), digest=digest),
            metrics=metrics,
            artifacts=[],
            fresh_calls=len(gold),
            cached_calls=0,
            partial=None if complete == "true" else "the budget was spent",
        )
        mlflow.log_params({"agent": agent, "dataset_digest": digest, "articles": len(gold)})
        mlflow.log_text(record.model_dump_json(), EVALUATION_FILE)
        if predictions:
            frame = pd.DataFrame("", index=range(len(gold)), columns=list(COLUMNS))
            frame["id"] = [inert(name) for name in names]
            frame["title"] = [inert(title) for title in titles or names]
            frame["article_hash"] = names
            frame["gold_category"], frame["predicted_category"] = gold, predicted
            mlflow.log_text(frame.to_csv(index=False), "predictions.csv")
        if probabilities is not None:
            mlflow.log_text(answers_json(names, gold, probabilities), "predictions.json")
        mlflow.set_tag(COMPLETE_TAG, complete)
    return record


def answers_json(names: Sequence[str], gold: Sequence[str], probabilities: Sequence[Mapping[str, float]]) -> str:
    """As `eval.files.write_records` writes them."""
    rows: list[dict[str, Any]] = [
        {"id": name, "title": name, "gold": {"category": label}, "answer": {"category_probabilities": dict(shares)}}
        for name, label, shares in zip(names, gold, probabilities, strict=True)
    ]
    return "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n"
