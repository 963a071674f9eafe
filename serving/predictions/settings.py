"""The section `predictions:` of config/serving.yaml."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class LogSettings(BaseModel):
    """Where predictions are kept, how much of them, and how soon they are on disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sink: Literal["sqlite", "parquet", "mlflow", "none"] = "sqlite"
    """sqlite: one file in the state folder; parquet: files there; mlflow: sampled traces; none: nothing is kept."""
    keep_text: bool = False
    """Whether title and content are kept too, without secrets; otherwise an article is known by hash and id alone."""
    sample: float | None = Field(default=None, gt=0, le=1)
    """Share of requests whose articles are kept, shadows included; unless set, 0.01 for mlflow and 1 for files."""
    flush_s: float | None = Field(default=None, ge=0.01, le=3600)
    """How long a prediction waits at most before it is written: what a killed server can lose. Unless set, 0.5; for
    parquet 60, because every write is a file of its own there."""
    flush_rows: int | None = Field(default=None, ge=1)
    """So many waiting predictions are written at once; unless set, 500, and 10,000 for parquet."""
    queue_rows: int = Field(default=20_000, ge=1)
    """Predictions that wait at most, for example while the disk is full; what is beyond is dropped and counted."""
    keep_days: float | None = Field(default=None, gt=0)
    """Predictions older than this are deleted from files; they stay for ever unless set."""
    experiment: str = Field(default="news-classifier-predictions", min_length=1)
    """MLflow's experiment that traces go to, for the sink mlflow."""

    @property
    def share(self) -> float:
        """Share of requests whose articles are kept."""
        return self.sample or (0.01 if self.sink == "mlflow" else 1.0)

    @property
    def every_s(self) -> float:
        """How long a prediction waits at most before it is written."""
        return self.flush_s or (60.0 if self.sink == "parquet" else 0.5)

    @property
    def every_rows(self) -> int:
        """How many waiting predictions are written at once."""
        return self.flush_rows or (10_000 if self.sink == "parquet" else 500)

    @model_validator(mode="after")
    def _queue_holds_what_is_written_at_once(self) -> Self:
        if self.queue_rows < self.every_rows:
            raise ValueError(f"queue_rows must be at least flush_rows, which is {self.every_rows}")
        return self
