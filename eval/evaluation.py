"""The record of one evaluation: what was run on what, and every figure. It is written as `evaluation.json`."""

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.config import Track

EVALUATION_FILE = "evaluation.json"


class DatasetRecord(BaseModel):
    """Which labelled set was used."""

    model_config = ConfigDict(frozen=True)

    path: str
    rows: int
    digest: str
    """sha256 of its canonical content."""


class CandidateRecord(BaseModel):
    """Which candidate answered."""

    model_config = ConfigDict(frozen=True)

    provider: str
    model: str
    track: Track
    model_hash: str | None
    """sha256 of the local model; None for a remote one."""
    config_hash: str
    """sha256 of the agent's configuration, labels included."""
    code_hash: str
    """sha256 of the `agent` package that answered."""
    prompt_hash: str | None = None
    """sha256 of the prompt's texts; None for a local model."""
    prompt_version: str | None = None
    """Its version in MLflow's prompt registry."""

    @property
    def hash(self) -> str:
        """sha256 over model, configuration and code: two candidates that share it are the same."""
        return hashlib.sha256(f"{self.model_hash} {self.config_hash} {self.code_hash}".encode()).hexdigest()


class EvaluationRecord(BaseModel):
    """One evaluation. Missing figures are missing from `metrics`."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    run_id: str | None
    """None for an evaluation that is not in MLflow yet."""
    run_name: str
    model_uri: str | None
    """Where the model is logged; None as long as it is not."""
    agent: str
    """Name of the candidate."""
    candidate: CandidateRecord
    dataset: DatasetRecord
    started_at: datetime
    """UTC."""
    git_commit: str | None = None
    """The commit that the evaluation was started at, with `-dirty` where the tree had changes."""
    metrics: dict[str, float]
    artifacts: list[str]
    fresh_calls: int
    """Calls that this evaluation made itself."""
    cached_calls: int
    """Calls whose answers were in the journal."""
    repeats: int = 1
    """How often the set was asked; quality is that of the first time."""
    partial: str | None = None
    """Why not every article was asked; None for a whole evaluation. A partial one decides nothing."""


class LoggedEvaluation(EvaluationRecord):
    """An evaluation that is in MLflow."""

    run_id: str
    model_uri: str
