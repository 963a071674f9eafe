"""Where predictions go: a table of the sinks, each imported when it is used, because some need what takes seconds."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings

SINKS: Mapping[str, str] = {
    "sqlite": "serving.predictions.sqlite_sink:SQLiteSink",
    "parquet": "serving.predictions.parquet_sink:ParquetSink",
    "mlflow": "serving.predictions.mlflow_sink:MLflowSink",
}


class SinkError(Exception):
    """Rows could not be written now, and may be later: a full disk, a locked file, a store that is away."""


class Sink(Protocol):
    """Takes predictions. Made without touching anything; used by one thread, the one that writes."""

    ROWS_AT_ONCE: ClassVar[int]
    """How many it takes at most in one call."""

    def __init__(self, settings: LogSettings, folder: Path) -> None: ...

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write all of them, or none and raise SinkError; without any, only see that it could. They are on disk then.

        After an error it opens what it needs anew.
        """

    def delete(self, before: float) -> bool:
        """Delete some predictions from before a moment, in seconds since 1970; returns whether more are left."""

    def close(self) -> None:
        """Let go of what is open."""


def sink_class(name: str) -> type[Sink]:
    """The sink of a name."""
    module, _, attribute = SINKS[name].partition(":")
    found: Any = getattr(import_module(module), attribute)
    kind: type[Sink] = found
    return kind
