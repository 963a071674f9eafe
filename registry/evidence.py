"""Evidence: everything that a verdict rests on, as one record that is named by its own hash and never changed."""

import hashlib
import re
from collections.abc import Mapping
from typing import Literal

from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict, ValidationError, field_serializer

from agent.errors import RegistryError
from eval.evaluation import CandidateRecord, DatasetRecord
from eval.runs import file_uri
from eval.statistics.comparison import Comparison
from registry.gates.config import GatesConfig
from registry.gates.verdict import Verdict
from registry.refusals import SAID_CHARS, explained

FOLDER = "evidence"
"""Of the candidate's run."""
SHA256 = re.compile(r"[0-9a-f]{64}")


class Measurement(BaseModel):
    """One candidate on the deciding rows, with the hash of everything that it was."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    model_uri: str
    agent: str
    version: str | None
    """Its number; None for a candidate that is not registered yet."""
    candidate: CandidateRecord
    dataset: DatasetRecord
    metrics: dict[str, float]
    price_as_of: str | None
    """Date of the prices that costs were computed with; None where there are none."""
    predictions_digest: str
    """sha256 of `predictions.csv`."""
    model_digest: str
    """sha256 over the files of the logged model: configuration, prompt, code, weights."""


class Evidence(BaseModel):
    """What is known about a candidate and the champion, measured on the same rows."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    model_name: str
    candidate: Measurement
    champion: Measurement | None
    """None where there is no champion."""
    comparisons: tuple[Comparison, ...]
    """By task, adjusted over all candidates that were compared with this champion on these rows; empty without one."""
    tried: int
    """How many those are, this one included."""
    changed_labels: int | None
    """Articles whose category the candidate gives another label than the champion; None without one."""
    gates: tuple[Verdict, ...]
    rules: GatesConfig
    """The gates as they were configured."""

    @field_serializer("rules")
    def _without_what_is_off(self, rules: GatesConfig) -> dict[str, object]:
        return rules.model_dump(mode="json", exclude_none=True)

    @property
    def hash(self) -> str:
        """sha256 of what is kept of it."""
        return hashlib.sha256(self.model_dump_json(indent=2).encode()).hexdigest()

    @property
    def by_task(self) -> Mapping[str, Comparison]:
        """The comparisons, each by its task."""
        return {one.task: one for one in self.comparisons}


def keep_evidence(client: MlflowClient, evidence: Evidence) -> None:
    """Store evidence with the candidate's run, under its hash. Raises RegistryError."""
    with explained(f"keep evidence with run {evidence.candidate.run_id}"):
        client.log_text(evidence.candidate.run_id, evidence.model_dump_json(indent=2), file_of(evidence.hash))


def load_evidence(run_id: str, digest: str) -> Evidence:
    """The evidence of a hash.

    Raises:
        RegistryError: it cannot be read, or is not what the hash names.
    """
    from mlflow.artifacts import load_text

    if not SHA256.fullmatch(digest):  # it comes from a tag, and becomes a path
        raise RegistryError(f"{digest!r} names no evidence of run {run_id}: it is no sha256. Register again.")
    try:
        text = load_text(file_uri(run_id, file_of(digest)))
    except Exception as err:
        said = str(err)[:SAID_CHARS].rstrip(".")
        raise RegistryError(
            f"Could not read evidence {digest[:12]} of run {run_id}: {said}. Check whether the run's files were "
            "deleted, and restore them; else MLFLOW_TRACKING_URI and your permissions. Then run the command again."
        ) from err
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise RegistryError(
            f"The evidence {digest[:12]} of run {run_id} was changed after it was written. Register again."
        )
    try:
        return Evidence.model_validate_json(text)
    except ValidationError as err:
        raise RegistryError(
            f"The evidence {digest[:12]} of run {run_id} is of another version of this product."
        ) from err


def file_of(digest: str) -> str:
    """Where evidence lies among the artifacts of its run."""
    return f"{FOLDER}/{digest}.json"
