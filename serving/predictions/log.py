"""The prediction log: what was answered, kept off the request path.

`append` puts predictions into a queue in memory and returns; a thread writes the queue every `flush_s` seconds, sooner
when `flush_rows` wait. A server that is killed (SIGKILL, out of memory) loses what was appended in the last `flush_s`
seconds and the write under way; what is written stays readable. `close` writes what is left.

Where nothing can be written (disk full, file locked, store away) answers go on: predictions wait, up to `queue_rows`,
and it is tried again every second, into a new file if the old one is gone; what is beyond is dropped and counted.
"""

import logging
import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from agent.redaction import secret_values, without
from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.sinks import Sink, SinkError, sink_class

RETRY_S = 1.0
"""Between two attempts while nothing can be written."""
ROWS_IN_A_TURN = 10
"""After so many the thread that answers may go on; it would otherwise wait five milliseconds for its turn."""
DELETE_EVERY_S = 3600.0
DAY_S = 86_400
logger = logging.getLogger(__name__)


class PredictionLog:
    """Predictions on their way to a sink. One thread appends, usually that of the server's loop; another one writes.

    Args:
        settings: Where to, how soon, how many.
        folder: The state folder; made where it is missing.
    """

    def __init__(self, settings: LogSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._share = int(settings.share * 2**32)
        self._queue: deque[Prediction] = deque()
        self._batch: Sequence[Prediction] = ()
        """What is being written; kept until that worked."""
        self._overflown = 0
        self._given_up = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._delete_at = 0.0
        self.written = 0
        """How many predictions the sink took."""
        self.problem: str | None = None
        """Why the last attempt did not work; None when it did."""

    @property
    def dropped(self) -> int:
        """How many predictions were lost: the queue was full, or they could not be written at all."""
        return self._overflown + self._given_up

    @property
    def waiting(self) -> int:
        """How many predictions are in memory only."""
        return len(self._queue) + len(self._batch)

    @property
    def failed(self) -> bool:
        """Whether nothing can be written at the moment."""
        return self.problem is not None

    def start(self) -> None:
        """Start the thread that writes."""
        if self._settings.sink != "none" and self._writer is None:
            sink = sink_class(self._settings.sink)(self._settings, self._folder)
            self._writer = threading.Thread(
                target=self._write, args=(sink,), name="news-classifier-predictions", daemon=True
            )
            self._writer.start()

    def append(self, predictions: Sequence[Prediction]) -> int:
        """Take predictions in, in microseconds.

        Args:
            predictions: Of one request or several. Where only a share is kept, an article of a request is kept with
                the answers of all versions, or not at all.

        Returns: How many were dropped because the queue is full, or the log closed.
        """
        if self._settings.sink == "none":
            return 0
        if self._share < 2**32:
            predictions = [each for each in predictions if _place(each) < self._share]
        free = 0 if self._closing.is_set() else self._settings.queue_rows - self.waiting
        too_many = max(0, len(predictions) - free)
        self._overflown += too_many
        self._queue.extend(predictions[: len(predictions) - too_many] if too_many else predictions)
        if len(self._queue) >= self._settings.every_rows and not self._wake.is_set():
            self._wake.set()
        return too_many

    def close(self, patience_s: float = 30.0) -> None:
        """Write what is left and end the thread: not to be called where a loop runs.

        Args:
            patience_s: How long that may take, in seconds; what is not written then is lost.
        """
        self._closing.set()
        self._wake.set()
        if self._writer:
            self._writer.join(patience_s)
        if self.waiting:
            logger.error("Predictions: %d were not written: %s", self.waiting, self.problem or "there was no time left")
            self._given_up += self.waiting

    def _write(self, sink: Sink) -> None:
        """The thread that writes."""
        while True:
            self._wake.clear()
            closing = self._closing.is_set()  # in this order: whoever closes sets both, this one first
            self._drain(sink)
            if closing:
                break
            self._delete_old(sink)
            if self.failed:
                self._closing.wait(RETRY_S)
            else:
                self._wake.wait(self._settings.every_s)
        sink.close()

    def _drain(self, sink: Sink) -> None:
        """Write all that waits, or as much as can be written; with nothing to write, see that it could be."""
        while True:
            self._batch = self._batch or self._take(sink.ROWS_AT_ONCE)
            try:
                sink.write(self._writable(self._batch))
            except SinkError as err:
                self._fail(err)
                return
            except Exception:  # a row that no sink can take, whatever that raises, must not hold up all others
                self._sort_out()
            else:
                self._succeed()
                self._batch = ()
            if not self._queue:
                return

    def _take(self, most: int) -> Sequence[Prediction]:
        """The next predictions of the queue."""
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def _writable(self, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
        """The predictions without secrets, and without text unless it is kept."""
        secrets = secret_values()
        clean = []
        for place, prediction in enumerate(predictions):
            if place % ROWS_IN_A_TURN == 0:
                time.sleep(0)
            clean.append(_without_secrets(prediction, secrets, self._settings.keep_text))
        return clean

    def _sort_out(self) -> None:
        """Drop a row that can never be written; of several, try the first half alone."""
        if len(self._batch) == 1:
            logger.exception("A prediction was dropped, because it can never be written")
            self._given_up += 1
        half = len(self._batch) // 2
        self._queue.extendleft(reversed(self._batch[half:] if half else ()))
        self._batch = self._batch[:half]

    def _fail(self, err: SinkError) -> None:
        if not self.failed:
            logger.error("Predictions wait in memory, and answers go on: %s", err)
        self.problem = str(err)

    def _succeed(self) -> None:
        self.written += len(self._batch)
        if self.failed:
            logger.warning("Predictions are written again; %d were dropped so far.", self.dropped)
        self.problem = None

    def _delete_old(self, sink: Sink) -> None:
        """Delete a part of what is too old, now and then."""
        if self._settings.keep_days is None or self.failed or time.monotonic() < self._delete_at:
            return
        try:
            more = sink.delete(time.time() - self._settings.keep_days * DAY_S)
        except SinkError as err:
            logger.warning("Old predictions were not deleted: %s", err)
            more = False
        self._delete_at = time.monotonic() + (0 if more else DELETE_EVERY_S)


def _place(prediction: Prediction) -> int:
    """A number below 2**32 that is the same for all versions that were asked the same article in one request."""
    return zlib.crc32(f"{prediction.request_id} {prediction.article_hash}".encode(errors="replace"))


def _without_secrets(prediction: Prediction, secrets: Sequence[str], keep_text: bool) -> Prediction:
    """The prediction without secrets and halves of characters in what callers wrote, and without text unless wanted."""

    def clean(text: str | None) -> str | None:
        return without(secrets, text.encode(errors="replace").decode()) if text else text

    return prediction._replace(
        request_id=clean(prediction.request_id) or "",
        article_id=clean(prediction.article_id),
        title=clean(prediction.title) if keep_text else None,
        content=clean(prediction.content) if keep_text else None,
    )
