"""Predictions as MLflow traces: for a sample, because a trace costs ten times what an answer does.

They are sent by a child process (`mlflow_sender`). In the server's own process MLflow would take 200 MB, and hold up
answers for tens of milliseconds while it is imported and while it sends.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.sinks import SinkError

SENDER = "serving.predictions.mlflow_sender"
ENVIRONMENT = {
    "MLFLOW_TRACE_SAMPLING_RATIO": "1",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Of the child: what is sampled is decided here, nothing is to wait in its memory, and a store may be away."""
END_S = 2.0
"""How long the child may take to end once nothing comes any more."""


class MLflowSink:
    """Hands predictions to a child and waits until it has sent them; a child that died is replaced."""

    ROWS_AT_ONCE: ClassVar[int] = 20

    def __init__(self, settings: LogSettings, folder: Path) -> None:
        self._name = settings.experiment
        self._child: subprocess.Popen[str] | None = None

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Send them. After an error, the child knows which of them the store has already."""
        if self._child and not predictions and self._child.poll() is None:
            return
        question = json.dumps([prediction._asdict() for prediction in predictions])
        try:
            problem = self._ask(f"{question}\n")
        except OSError as err:
            self.close()
            raise SinkError(f"The process that sends predictions to MLflow ended: {err}. It is started again.") from err
        if problem:
            raise SinkError(f"MLflow's experiment {self._name!r} takes no traces: {problem}")

    def delete(self, before: float) -> bool:
        """Leave traces where they are: how long they are kept is a matter of the store."""
        return False

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child:
            try:
                child.communicate(timeout=END_S)
            except (OSError, subprocess.TimeoutExpired):
                child.kill()
                child.wait()

    def _ask(self, question: str) -> str | None:
        """Why the child could not send them, if it could not."""
        if self._child is None:
            words = [sys.executable, "-m", SENDER, self._name]
            self._child = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | ENVIRONMENT,
                start_new_session=True,  # Ctrl-C is for the server, which writes what is left
            )
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(question)
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise BrokenPipeError(f"exit code {self._child.wait()}")
        problem: str | None = json.loads(answer)["problem"]
        return problem
