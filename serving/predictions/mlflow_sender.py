"""The process that sends predictions to MLflow for `mlflow_sink`: JSON lines in, one answer to each out.

MLflow's exporter drops a trace that the store does not take and only says so in its log. So each trace is looked for
after it was sent, and one that is not there is sent again with the batch: it may come twice.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import mlflow
from mlflow.tracking import MlflowClient

from eval.console import prepare_process
from eval.store import open_store
from serving.predictions.record import SCHEMA_VERSION, Prediction

INPUT_FIELDS = ("article_hash", "article_id", "title", "content")
OUTPUT_FIELDS = ("category", "sentiment", "category_confidence", "sentiment_confidence", "error", "cost_usd")
TAG_FIELDS = ("request_id", "role", "version", "article_hash", "article_id")


class Sender:
    """Sends predictions to one experiment, made where it is missing."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._experiment_id: str | None = None
        self._arrived: set[int] = set()
        """Places in a batch of those that the store has, while the batch is tried again."""

    def send(self, predictions: Sequence[Prediction]) -> None:
        """Send those that the store does not have yet. Raises whatever MLflow raises."""
        try:
            self._experiment_id = self._experiment_id or self._open()
            for place, prediction in enumerate(predictions):
                if place not in self._arrived:
                    trace_id = make_trace(prediction, self._experiment_id)
                    MlflowClient().get_trace(trace_id, display=False)
                    self._arrived.add(place)
        except Exception:
            self._experiment_id = None  # it may have been deleted
            raise
        self._arrived.clear()

    def _open(self) -> str:
        open_store()
        return str(mlflow.set_experiment(self._experiment).experiment_id)


def make_trace(prediction: Prediction, experiment_id: str) -> str:
    """Log a trace; returns its id."""

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


def answer(sender: Sender, questions: TextIO, answers: TextIO) -> None:
    """Send a batch for each line until there are no more."""
    for line in questions:
        problem = None
        try:
            sender.send([Prediction(**values) for values in json.loads(line)])
        except Exception as err:  # whatever a store raises, the rows are kept by who asked
            problem = " ".join(str(err).split()) or type(err).__name__
        answers.write(f"{json.dumps({'problem': problem})}\n")
        answers.flush()


if __name__ == "__main__":
    prepare_process()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
        os.dup2(2, 1)  # what libraries print is no answer
        answer(Sender(sys.argv[1]), sys.stdin, stdout)
