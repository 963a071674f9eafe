"""Models in processes of their own.

A logged version, so that it answers with its own code: two versions loaded into one Python process would both run the
code of the first one loaded, because Python keeps the module `agent` that it imported first. And a candidate that is
asked about thousands of articles, so that whatever else this process does neither delays its calls nor shows in their
latencies.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from agent import errors
from agent.config import AgentConfig
from agent.errors import IsolationError, NewsClassifierError
from agent.fingerprint import PACKAGE
from agent.providers import Pace
from agent.records import Article, Classification

WORKER = Path(__file__).with_name("worker.py")
STOP_TIMEOUT_S = 5.0
OUTPUT_SHOWN_CHARS = 400


class Isolated:
    """Something that answers articles in its own process. Use it as a context manager, or `close` it.

    Safe to call from several threads; requests are answered one after the other.

    Args:
        name: What it is called in errors.
        arguments: Of the worker.
        stderr: Where what it prints goes; to what this process prints unless given.
    """

    def __init__(self, name: str, arguments: Sequence[str], stderr: IO[bytes] | None = None) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._stderr = stderr
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
        )

    def classify_at(self, articles: Sequence[Article], pace: Pace) -> Iterator[tuple[int, Classification]]:
        """Answer every article once, as `(its index, answer)`, as the answers come; as `Classifier.classify` does.

        What the calls cost is taken from the pace's budget when they are over. When the answers are not wanted any more
        the process is ended, so that it makes no more calls; those in flight count at their worst case.

        Raises:
            IsolationError: the process died, or cannot do this.
            NewsClassifierError: what `Classifier.classify` raises.
        """
        request = {
            "articles": [article.model_dump() for article in articles],
            "pace": {
                "concurrency": pace.concurrency,
                "patient": pace.patient,
                "one_by_one": pace.one_by_one,
                "journal": str(pace.journal.path) if pace.journal else None,
                "repeat": pace.repeat,
                "max_usd": pace.budget.left_usd if pace.budget else None,
            },
        }
        last: dict[str, Any] = {}
        try:
            with self._lock:
                self._send(request)
                while "end" not in (message := self._receive()):
                    if "error" in message:
                        raise self._error(message)
                    last = message
                    if pace.slots:
                        pace.slots.in_use = message["in_flight"]
                    yield message["index"], Classification.model_validate(message["record"])
                last = message
        finally:
            if "end" not in last:
                self.stop()
            if pace.budget:
                pace.budget.charge(
                    cost_usd_at_most(last, pace.budget.left_usd, pace), is_spent=last.get("is_spent", False)
                )

    def stop(self) -> None:
        """End the process at once, from any thread; who waits for its answers gets an IsolationError."""
        self._process.kill()

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
        if self._stderr:
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
            raise IsolationError(f"The process of {self._name!r} has ended. {self._last_output()}") from err

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise IsolationError(f"The process of {self._name!r} ended without an answer. {self._last_output()}")
        try:
            message = json.loads(line)
        except ValueError as err:  # it was killed while it wrote
            raise IsolationError(f"The process of {self._name!r} ended in an answer. {self._last_output()}") from err
        assert isinstance(message, dict)
        return message

    def _error(self, message: Mapping[str, Any]) -> NewsClassifierError:
        """What the other process raised, where it is one of our errors."""
        kind = getattr(errors, str(message.get("type")), None)
        if isinstance(kind, type) and issubclass(kind, NewsClassifierError):
            return kind(message["error"])
        return IsolationError(f"{self._name!r} could not go on: {message['error']}")

    def _last_output(self) -> str:
        if self._stderr is None or self._stderr.closed:
            return "It was closed."
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace").strip()
        return f"It last said: {text[-OUTPUT_SHOWN_CHARS:]}" if text else "It said nothing."


class IsolatedModel(Isolated):
    """A model version that is loaded and asked in its own process, with its own code.

    Args:
        model_uri: For example `models:/news_classifier@champion` or `models:/news_classifier/3`.

    Raises:
        IsolationError: the model cannot be loaded.
    """

    def __init__(self, model_uri: str) -> None:
        self.model_uri = model_uri
        super().__init__(model_uri, ["version", model_uri], tempfile.TemporaryFile())  # noqa: SIM115 - closed with the process
        try:
            ready = self._receive()
            if "failed" in ready:
                reason = str(ready["failed"]).rstrip(".")
                raise IsolationError(
                    f"Cannot load {model_uri!r}: {reason}. Check the name, the alias and MLFLOW_TRACKING_URI."
                )
        except BaseException:
            self.close()
            raise
        self.code = Path(ready["code"])
        """Folder of the `agent` package that answers; it lies inside `model_path`."""
        self.model_path = Path(ready["model"])
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


class IsolatedCandidate(Isolated):
    """A candidate that is asked in its own process, with the code of this one. It starts while others go on.

    Args:
        config: Of the candidate.
    """

    def __init__(self, config: AgentConfig) -> None:
        super().__init__(config.name, ["candidate", str(PACKAGE)])
        self._send(config.model_dump(mode="json"))
        self._is_ready = False

    def classify_at(self, articles: Sequence[Article], pace: Pace) -> Iterator[tuple[int, Classification]]:
        """As of every isolated model; waits until it has started."""
        if not self._is_ready:
            ready = self._receive()
            if "failed" in ready:
                raise IsolationError(f"{self._name!r} cannot be started: {ready['failed']}")
            self._is_ready = True
        yield from super().classify_at(articles, pace)


def cost_usd_at_most(last: Mapping[str, Any], left_usd: float, pace: Pace) -> float:
    """What the calls of a process cost by its last message; all that it was allowed where it never said anything."""
    if "end" in last:
        return float(last["spent_usd"])
    if not last:
        return left_usd
    return min(float(last["spent_usd"] + pace.concurrency * last["dearest_usd"]), left_usd)  # begun after the message
