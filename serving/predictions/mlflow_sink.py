"""Predictions as MLflow traces: for a sample, because a trace costs ten times what an answer does.

MLflow's exporter sends traces from threads of its own, drops one that the store does not take and only says so in its
log. So each trace is looked for after a batch was sent, and one that is not there is sent again: it may come twice.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent.errors import StoreError
from serving.predictions.record import SCHEMA_VERSION, Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.sinks import SinkError

RATIO = "MLFLOW_TRACE_SAMPLING_RATIO"
OUTPUT_FIELDS = ("category", "sentiment", "category_confidence", "sentiment_confidence", "error", "cost_usd")
INPUT_FIELDS = ("article_hash", "article_id", "title", "content")
NAMING_FIELDS = 5
"""By which a prediction is known: time, request, role, version and article."""
TAG_FIELDS = ("request_id", "role", "version", "article_hash", "article_id")


class MLflowSink:
    """Sends predictions to the experiment that the settings name."""

    ROWS_AT_ONCE: ClassVar[int] = 100

    def __init__(self, settings: LogSettings, folder: Path) -> None:
        self._name = settings.experiment
        self._experiment_id: str | None = None
        self._arrived: set[tuple[object, ...]] = set()
        """First fields of those that the store has, while others of their batch are to be sent again."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Send them, and see that they arrived. After an error the same ones are expected again."""
        from mlflow.exceptions import MlflowException  # two seconds to import, in the thread that writes

        try:
            experiment_id = self._experiment_id or self._open()
            if predictions:
                self._send(predictions, experiment_id)
        except (MlflowException, StoreError, OSError) as err:
            self._experiment_id = None
            raise SinkError(f"MLflow's experiment {self._name!r} takes no traces: {err}") from err

    def delete(self, before: float) -> bool:
        """Leave traces where they are: how long they are kept is a matter of the store."""
        return False

    def close(self) -> None:
        """Nothing is open."""

    def _open(self) -> str:
        """Find or make the experiment; returns its id."""
        import mlflow

        from eval.store import open_store

        if os.environ.get(RATIO) not in (None, "", "1", "1.0"):
            raise SinkError(
                f"{RATIO} is {os.environ[RATIO]!r}, so MLflow drops traces. Unset it; use 'sample' instead."
            )
        open_store()
        self._experiment_id = str(mlflow.set_experiment(self._name).experiment_id)
        return self._experiment_id

    def _send(self, predictions: Sequence[Prediction], experiment_id: str) -> None:
        """Send those that the store does not have yet. Raises MlflowException if it lacks one after that."""
        import mlflow
        from mlflow.exceptions import MlflowException

        left = [each for each in predictions if each[:NAMING_FIELDS] not in self._arrived]
        sent = [(each[:NAMING_FIELDS], _make_trace(each, experiment_id)) for each in left]
        mlflow.flush_trace_async_logging()
        client, missing = mlflow.MlflowClient(), None
        for name, trace_id in sent:
            try:
                client.get_trace(trace_id, display=False)
                self._arrived.add(name)
            except MlflowException as err:
                missing = err
        if missing:
            raise missing
        self._arrived.clear()


def _make_trace(prediction: Prediction, experiment_id: str) -> str:
    """Hand a trace to MLflow's exporter; returns its id."""
    import mlflow

    def some(fields: Sequence[str]) -> dict[str, Any]:
        return {name: value for name in fields if (value := getattr(prediction, name)) is not None}

    end_ns = int(prediction.time * 1e9)
    span = mlflow.start_span_no_context(
        "prediction",
        inputs=some(INPUT_FIELDS),
        tags=some(TAG_FIELDS) | {"schema": str(SCHEMA_VERSION)},
        experiment_id=experiment_id,
        start_time_ns=end_ns - int(prediction.latency_ms * 1e6),
    )
    span.set_outputs(some(OUTPUT_FIELDS))
    span.end(status="ERROR" if prediction.error else "OK", end_time_ns=end_ns)
    return str(span.trace_id)
