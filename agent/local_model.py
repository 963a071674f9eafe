"""The trained local model on disk: a folder with a manifest and one skops file for each task.

skops files hold data and the names of types, never code. The types they may name are listed here, in the code; a file
that names another one is refused. The manifest gives the sha256 of each file; its own sha256 is the hash of the model.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import skops.io
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from agent.errors import ArtifactError
from agent.labels import Task

MANIFEST = "manifest.json"
TRUSTED_TYPES = [
    "agent.text_features.NewsVectorizer",
    "scipy.sparse._csr.csr_array",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._TemperatureScaling",
]


class TaskFile(BaseModel):
    """Where the pipeline of one task is and what it answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[a-z]+-[0-9a-f]{12}\.skops$")
    """A name inside the folder, never a path."""
    sha256: str
    labels: tuple[str, ...]
    """In the order of the columns of `predict_proba`."""


class TrainingData(BaseModel):
    """One labelled file that the model learned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    rows: int
    digest: str


class Manifest(BaseModel):
    """What the folder holds and how it came to be. Two trainings on the same input write the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    engine: Literal["sklearn"] = "sklearn"
    """What trained it."""
    loader: Literal["skops"] = "skops"
    """How its files are read; chosen from a list in the code, never imported from the file."""
    name: str
    tasks: dict[Task, TaskFile]
    training_digest: str
    """sha256 of everything that went in: data, settings, labels, code and library versions."""
    data: tuple[TrainingData, ...]
    versions: dict[str, str]
    """Library versions of the training."""


class LocalModel(NamedTuple):
    """A loaded local model."""

    name: str
    hash: str
    pipelines: dict[Task, Pipeline]
    labels: dict[Task, tuple[str, ...]]


def file_sha256(path: Path) -> str:
    """sha256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a trained model.

    Raises:
        ArtifactError: there is none, or it is damaged or of another version.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as err:
        raise ArtifactError(
            f"No trained model in {folder}: {MANIFEST} cannot be read ({err.strerror}). "
            f"Run 'news-classifier train --out {folder}'."
        ) from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{path}: field {field!r} has a wrong value: {first['msg']}. Train the model again."
        ) from err


def load_local_model(folder: Path) -> LocalModel:
    """Load a trained model after checking every file against the manifest.

    Raises:
        ArtifactError: a file is missing, differs from the manifest, or names a type that is not trusted.
    """
    manifest = read_manifest(folder)
    pipelines = {task: _load_pipeline(folder / entry.file, entry.sha256) for task, entry in manifest.tasks.items()}
    labels = {task: entry.labels for task, entry in manifest.tasks.items()}
    return LocalModel(manifest.name, file_sha256(folder / MANIFEST), pipelines, labels)


def _load_pipeline(path: Path, sha256: str) -> Pipeline:
    try:
        content = path.read_bytes()
    except OSError as err:
        raise ArtifactError(f"{path} cannot be read ({err.strerror}). Train the model again.") from err
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArtifactError(f"{path} has sha256 {found}, the manifest says {sha256}. Train the model again.")
    try:
        pipeline = skops.io.loads(content, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as err:
        raise ArtifactError(f"{path} is refused: {err}. Allowed beside scikit-learn's own: {TRUSTED_TYPES}.") from err
    except Exception as err:
        raise ArtifactError(f"{path} is no skops file ({type(err).__name__}: {err}). Train the model again.") from err
    if not isinstance(pipeline, Pipeline):
        raise ArtifactError(f"{path} holds {type(pipeline).__name__}, not a Pipeline. Train the model again.")
    return pipeline
