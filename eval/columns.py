"""The answers to a labelled set in columns, because a hundred thousand records would not fit beside everything else."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from agent.labels import TASKS, UNKNOWN, LabelSet, Task
from eval.labeled_articles import LabeledArticle
from eval.outcomes import Answer, Bill, Floats, Prediction

NOT_JUDGED = -1


class Predictions(Sequence[Prediction]):
    """What was answered so far to the rows of a labelled set, in the order of the rows.

    Args:
        rows: Shape (n,).
        labels: The configured labels.
    """

    def __init__(self, rows: Sequence[LabeledArticle], labels: LabelSet) -> None:
        self._rows = rows
        self._names = {task: (*names, UNKNOWN) for task, names in labels.by_task.items()}
        self._codes = {task: {name: code for code, name in enumerate(names)} for task, names in self._names.items()}
        self._labels = {task: np.full(len(rows), NOT_JUDGED, dtype=np.int16) for task in TASKS}
        self._probabilities: dict[Task, Floats] = {}
        self._latencies = np.full(len(rows), np.nan)
        self._bills: list[Bill | None] = [None] * len(rows)
        self._same: dict[Bill, Bill] = {}
        self._problems: dict[int, Answer] = {}
        self._answered: Sequence[int] = []
        self._count = 0

    def put(self, row: int, answer: Answer) -> None:
        """Take an answer in; each row has one."""
        self._count += self._bills[row] is None
        self._bills[row] = self._same.setdefault(answer.bill, answer.bill)
        self._latencies[row] = np.nan if answer.latency_ms is None else answer.latency_ms
        for task in TASKS:
            label = answer.label(task)
            self._labels[task][row] = NOT_JUDGED if label is None else self._codes[task][label]
            if (given := answer.probabilities(task)) is not None:
                if task not in self._probabilities:
                    self._probabilities[task] = np.full((len(self._rows), len(given)), np.nan)
                self._probabilities[task][row] = given
        if answer.error or answer.unknown_reason:
            self._problems[row] = answer

    def __len__(self) -> int:
        """How many rows have an answer."""
        return self._count

    @overload
    def __getitem__(self, place: int) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> list[Prediction]: ...

    def __getitem__(self, place: int | slice) -> Prediction | list[Prediction]:
        """The answered rows by their place among all answered ones."""
        if len(self._answered) != self._count:
            everything = self._count == len(self._rows)
            self._answered = range(self._count) if everything else np.flatnonzero([*map(bool, self._bills)]).tolist()
        if isinstance(place, slice):
            return [self._prediction(row) for row in self._answered[place]]
        return self._prediction(self._answered[place])

    def __iter__(self) -> Iterator[Prediction]:
        """The predictions, one at a time."""
        return (self._prediction(row) for row, bill in enumerate(self._bills) if bill)

    def _prediction(self, row: int) -> Prediction:
        if row in self._problems:
            return Prediction(self._rows[row], self._problems[row])
        bill = self._bills[row]
        assert bill
        latency = float(self._latencies[row])
        answer = Answer(
            self._label("category", row),
            self._label("sentiment", row),
            self._distribution("category", row),
            self._distribution("sentiment", row),
            None if np.isnan(latency) else latency,
            bill,
        )
        return Prediction(self._rows[row], answer)

    def _label(self, task: Task, row: int) -> str | None:
        code = self._labels[task][row]
        return None if code == NOT_JUDGED else self._names[task][code]

    def _distribution(self, task: Task, row: int) -> tuple[float, ...] | None:
        if task not in self._probabilities:
            return None
        found = self._probabilities[task][row].tolist()
        return None if found[0] != found[0] else tuple(found)
