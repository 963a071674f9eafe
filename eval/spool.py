"""Whole answers on disk while an evaluation runs, so that memory does not grow with them."""

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from agent.records import Classification
from agent.redaction import redact_value

NOT_KEPT = -1


class Spool:
    """Answers by the number of their row, in a temporary file; kept in any order, read back in the one asked for."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by __exit__
        self._starts = array("q")
        """By row: where its line begins, `NOT_KEPT` where it has none."""

    def __iter__(self) -> Iterator[int]:
        """The rows that have an answer, in their order."""
        return (row for row, start in enumerate(self._starts) if start != NOT_KEPT)

    def first(self, field: str) -> Any:
        """One field of the first answer."""
        return next(self.read(self))[field]

    def keep(self, row: int, record: Classification) -> None:
        """Write an answer, without secrets; a later one for the same row takes its place."""
        line = json.dumps(redact_value(record.model_dump(mode="json")), ensure_ascii=False)
        self._starts.extend([NOT_KEPT] * (row + 1 - len(self._starts)))
        self._starts[row] = self._file.seek(0, 2)
        self._file.write(f"{line}\n".encode())

    def read(self, rows: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The answers of these rows, as they are written to files."""
        for row in rows:
            self._file.seek(self._starts[row])
            yield json.loads(self._file.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
