"""Evaluations for the registry's tests: one really logged model, with figures as a test wants them."""

from collections.abc import Callable
from datetime import UTC, datetime

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.evaluation import EVALUATION_FILE, CandidateRecord, DatasetRecord, EvaluationRecord
from eval.logged_model import log_agent
from eval.tags import COMPLETE_TAG

Evaluate = Callable[..., EvaluationRecord]


@pytest.fixture
def evaluated(store: MlflowClient, agent_config: AgentConfig) -> Evaluate:
    """Log a complete evaluation whose figures are given."""
    uris: list[str] = []

    def log(
        accuracy: float, sentiment: float = 0.85, digest: str = "d1", f1: float = 0.9, **more: float
    ) -> EvaluationRecord:
        with mlflow.start_run() as run:
            if not uris:
                uris.append(log_agent(agent_config).model_uri)
            metrics = {
                "category_accuracy": accuracy,
                "category_macro_f1": f1,
                "category_macro_precision": 0.9,
                "category_macro_recall": 0.9,
                "sentiment_accuracy": sentiment,
                "latency_ms_p95": 3.0,
                "cost_usd_per_1k": 0.0,
                "articles": 400.0,
            } | more
            record = EvaluationRecord(
                run_id=run.info.run_id,
                run_name="a run",
                started_at=datetime.now(UTC),
                model_uri=uris[0],
                agent="candidate",
                candidate=CandidateRecord(
                    provider="sklearn",
                    model="news-sklearn",
                    track="local",
                    model_hash=run.info.run_id,
                    config_hash="c",
                    code_hash="k",
                ),
                dataset=DatasetRecord(path="set.jsonl", rows=400, digest=digest),
                metrics=metrics,
                artifacts=[],
                fresh_calls=400,
                cached_calls=0,
            )
            mlflow.log_text(record.model_dump_json(), EVALUATION_FILE)
            mlflow.set_tag(COMPLETE_TAG, "true")
        return record

    return log
