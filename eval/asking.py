"""Asks a target about every article of a labelled set, as often as is wanted, while something else may be done."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

from agent.errors import ProviderError
from agent.providers import Pace
from agent.records import Classification
from eval.columns import Predictions
from eval.labeled_set import LabeledSet
from eval.outcomes import Answer
from eval.progress import Progress, Watch, nobody
from eval.spool import Spool
from eval.targets import Target

FOR_ALL = ("rejected", "unavailable")
"""Errors that most likely come to every further article."""
ENOUGH_REFUSALS = 5
"""So many of them in a row end a run that had answers; a single one can be about its article."""
AT_ONCE = 1024
STOP_TIMEOUT_S = 5.0


class Asking:
    """The answers to a labelled set, being collected.

    Args:
        target: What is asked.
        dataset: What about.
        pace: How. Its slots are watched.
        repeats: How often the set is asked about.
        spool: Where the whole answers of the first time go.
        watch: Told how far it is.
    """

    def __init__(
        self,
        target: Target,
        dataset: LabeledSet,
        pace: Pace,
        *,
        repeats: int = 1,
        spool: Spool | None = None,
        watch: Watch = nobody,
    ) -> None:
        self._target, self._dataset, self._pace = target, dataset, pace
        self._spool, self._watch = spool, watch
        self._passes = [Predictions(dataset.rows, target.config.labels) for _ in range(repeats)]
        self._seen = Progress(0, repeats * len(dataset.rows), 0, 0, 0, 0, 0.0)
        self._refused_in_a_row = 0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="news-classifier-asking", daemon=True)
        self._thread.start()

    def wait(self) -> list[Predictions]:
        """The predictions of each time, in the order of the rows; those that nobody was asked about are left out.

        What was asked is closed then.

        Raises:
            ProviderError: what one answer says is wrong for all of them, or there is no answer at all.
            JournalError: an answer could not be kept.
        """
        if self._thread:
            self._thread.join()
        else:
            self._run()
        if self._error:
            raise self._error
        self._target.close()
        return self.predictions()

    def predictions(self) -> list[Predictions]:
        """What was answered so far, of each time."""
        return self._passes

    @property
    def unasked(self) -> int:
        """Articles that were not answered in any way."""
        return self._seen.total - self._seen.done

    def stop(self) -> None:
        """End it; what was answered so far stays."""
        if self._thread and self._thread.is_alive():
            self._error = self._error or CancelledError()
            self._target.stop()
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            for repeat, got in enumerate(self._passes):
                for index, record in self._answers_of(self._pace._replace(repeat=repeat)):
                    self._take(repeat, got, index, record)
                if repeat == 0 and nothing_in(got):
                    self._explain_nothing(got)
                if self._pace.budget and self._pace.budget.is_spent:
                    return
        except BaseException as error:
            if self._thread is None:
                raise
            self._error = self._error or error

    def _answers_of(self, pace: Pace) -> Iterator[tuple[int, Classification]]:
        """The answers of one time; a model that computes gets some articles after the others, to hold few of them."""
        rows = self._dataset.rows
        size = len(rows) if self._target.waits else AT_ONCE
        for start in range(0, len(rows), size):
            articles = [row.article for row in rows[start : start + size]]
            for index, record in self._target.classify(articles, pace):
                yield start + index, record

    def _take(self, repeat: int, got: Predictions, index: int, record: Classification) -> None:
        if self._spool and repeat == 0:
            self._spool.keep(index, record)
        answer = Answer.of(record, self._target.config.labels)
        got.put(index, answer)
        self._seen = after(self._seen, answer, self._pace.slots.in_use if self._pace.slots else 0)
        self._watch(self._seen)
        ended = answer.error is not None and answer.error.type in FOR_ALL
        self._refused_in_a_row = self._refused_in_a_row + 1 if ended else 0
        if answer.error and ended and (nothing_in(got) or self._refused_in_a_row >= ENOUGH_REFUSALS):
            raise ProviderError(answer.error.message)

    def _explain_nothing(self, got: Predictions) -> None:
        if not got:
            raise ProviderError("The budget does not allow a single call. Raise --max-usd.")
        first = got[0].answer.error
        raise ProviderError(f"None of {len(got):,} articles was answered. The first: {first and first.message}")


def nothing_in(predictions: Predictions) -> bool:
    """Whether no article has got labels."""
    return all(prediction.answer.error for prediction in predictions)


def after(seen: Progress, answer: Answer, in_flight: int) -> Progress:
    """How far it is with one more answer."""
    bill = answer.bill
    fresh_usd = 0.0 if bill.fresh == 0 else bill.cost_usd
    return Progress(
        done=seen.done + 1,
        total=seen.total,
        failed=seen.failed + (answer.error is not None),
        retried=seen.retried + (bill.calls > 1),
        cached=seen.cached + (bill.calls > 0 and bill.fresh == 0),
        in_flight=in_flight,
        spent_usd=None if seen.spent_usd is None or fresh_usd is None else seen.spent_usd + fresh_usd,
    )
