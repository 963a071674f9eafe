"""A registered model version in a process of its own, so that it answers with its own code.

Two versions loaded into one Python process would both run the code of the first one loaded: Python keeps the module
`agent` that it imported first.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.errors import IsolationError
from agent.records import Article, Classification

WORKER = Path(__file__).with_name("worker.py")
STOP_TIMEOUT_S = 5.0
OUTPUT_SHOWN_CHARS = 400


class IsolatedModel:
    """A model version that is loaded and asked in its own process. Use it as a context manager, or `close` it.

    Safe to call from several threads; requests are answered one after the other.

    Args:
        model_uri: For example `models:/news_classifier@champion` or `models:/news_classifier/3`.

    Raises:
        IsolationError: the model cannot be loaded.
    """

    def __init__(self, model_uri: str) -> None:
        self.model_uri = model_uri
        self._lock = threading.Lock()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process that writes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), model_uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )
        ready = self._receive()
        if "failed" in ready:
            self.close()
            reason = str(ready["failed"]).rstrip(".")
            raise IsolationError(
                f"Cannot load {model_uri!r}: {reason}. Check the name, the alias and MLFLOW_TRACKING_URI."
            )
        self.code = Path(str(ready["code"]))
        """Folder of the `agent` package that answers; it lies inside `model_path`."""
        self.model_path = Path(str(ready["model"]))
        """Folder of the model version."""

    def classify(self, title: str = "", content: str = "") -> Classification:
        """Classify one article.

        Raises:
            IsolationError: the process died, or refused the request.
        """
        [answer] = self.classify_many([Article(title=title, content=content)])
        return answer

    def classify_many(self, articles: Iterable[Article]) -> list[Classification]:
        """Classify articles in one request; answers in their order. Raises as `classify` does."""
        request = {"input": [], "custom_inputs": {"articles": [article.model_dump() for article in articles]}}
        outputs = self.predict(request)["custom_outputs"]
        assert isinstance(outputs, dict)
        return [Classification.model_validate(record) for record in outputs["classifications"]]

    def predict(self, request: Mapping[str, object]) -> dict[str, object]:
        """Send a request of the ResponsesAgent and return its response. Raises as `classify` does."""
        with self._lock:
            self._send(request)
            message = self._receive()
        if "error" in message:
            raise IsolationError(f"{self.model_uri!r} refused the request: {message['error']}")
        answer = message["answer"]
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End the process. Closing twice is allowed."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # what was never read by a dead process
                    pipe.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def _send(self, request: Mapping[str, object]) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as err:
            raise IsolationError(f"The process of {self.model_uri!r} has ended. {self._last_output()}") from err

    def _receive(self) -> dict[str, object]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise IsolationError(f"The process of {self.model_uri!r} ended without an answer. {self._last_output()}")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    def _last_output(self) -> str:
        if self._stderr.closed:
            return "It was closed."
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace").strip()
        return f"It last said: {text[-OUTPUT_SHOWN_CHARS:]}" if text else "It said nothing."
