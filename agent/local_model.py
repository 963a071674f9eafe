"""The trained local model on disk: a folder with a manifest and, for each task, one file of plain arrays.

The files are NumPy archives without pickle: they hold numbers and text, no types and no code, so nothing in them needs
to be trusted. The manifest gives the sha256 of each file; its own sha256 is the hash of the model.
"""

import hashlib
import io
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import sparse

from agent.errors import ArtifactError
from agent.labels import Task
from agent.text_features import TextFeatures

MANIFEST = "manifest.json"
TEXTS = ("tokens", "words", "ngrams", "labels")
"""Arrays that hold lines of text, as UTF-8 bytes."""

Arrays = Mapping[str, npt.NDArray[Any]]


class FileEntry(BaseModel):
    """One file of the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[a-z]+-[0-9a-f]{12}\.npz$")
    """A name inside the folder, never a path."""
    sha256: str


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
    loader: Literal["linear"] = "linear"
    """How its files are read; one of the loaders in the code, never imported from the file."""
    name: str
    tasks: dict[Task, FileEntry]
    """The arrays of each task."""
    training_digest: str
    """sha256 of everything that went in: data, settings, labels, code and library versions."""
    data: tuple[TrainingData, ...]
    versions: dict[str, str]
    """Library versions of the training."""


class TaskModel(NamedTuple):
    """Features of a text, times weights, as probabilities."""

    features: TextFeatures
    labels: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    """Shape (features, labels)."""
    intercepts: npt.NDArray[np.float32]
    """Shape (labels,)."""

    def predict_proba(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, shape (n, labels), rows sum to 1."""
        logits = np.asarray(self.features.transform(texts) @ self.weights + self.intercepts, dtype=np.float64)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: npt.NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
        return probabilities


@dataclass(frozen=True)
class LocalModel:
    """A loaded local model."""

    name: str
    hash: str
    tasks: Mapping[Task, TaskModel]


LOADED: MutableMapping[str, LocalModel] = WeakValueDictionary()
"""The models of this process by their hash: 50 MB that who evaluates one needs once, however often MLflow loads it."""


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
        raise ArtifactError(f"{path}: field {field!r} is wrong: {first['msg']}. Train the model again.") from err


def model_files(folder: Path) -> list[Path]:
    """The manifest and the files that it names, whatever else the folder holds. Raises as `read_manifest` does."""
    return [folder / MANIFEST, *(folder / entry.file for entry in read_manifest(folder).tasks.values())]


def read_entry(folder: Path, entry: FileEntry) -> bytes:
    """The content of a file of the folder.

    Raises:
        ArtifactError: it is missing, or differs from the manifest.
    """
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except OSError as err:
        raise ArtifactError(f"{path} cannot be read ({err.strerror}). Train the model again.") from err
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise ArtifactError(f"{path} has sha256 {found}, the manifest says {entry.sha256}. Train the model again.")
    return content


def load_local_model(folder: Path) -> LocalModel:
    """Load a trained model after checking every file against the manifest.

    Raises:
        ArtifactError: a file is missing, differs from the manifest, or does not hold what it should.
    """
    manifest = read_manifest(folder)
    contents = {task: read_entry(folder, entry) for task, entry in manifest.tasks.items()}
    model_hash = file_sha256(folder / MANIFEST)
    model = LOADED.get(model_hash)
    if model is None:
        tasks = {task: _load_task(folder / manifest.tasks[task].file, content) for task, content in contents.items()}
        model = LOADED[model_hash] = LocalModel(manifest.name, model_hash, tasks)
    return model


def to_arrays(model: TaskModel) -> Arrays:
    """A task's model as named arrays."""
    features = model.features
    texts = {"tokens": features.tokens, "words": features.words, "ngrams": features.ngrams, "labels": model.labels}
    return {
        **{name: np.frombuffer("\n".join(lines).encode(), dtype=np.uint8) for name, lines in texts.items()},
        "char_range": np.array(features.char_range),
        "by_token_data": features.by_token.data.astype(np.uint8),
        "by_token_indices": features.by_token.indices,
        "by_token_indptr": features.by_token.indptr,
        "pairs": features.pairs,
        "idf": features.idf,
        "valences": features.valences,
        "char_weight": np.array(features.char_weight),
        "lexicon_weight": np.array(features.lexicon_weight),
        "weights": model.weights,
        "intercepts": model.intercepts,
    }


def from_arrays(arrays: Arrays) -> TaskModel:
    """The task's model that `to_arrays` wrote."""
    texts = {name: lines_of(arrays[name]) for name in TEXTS}
    parts = (arrays["by_token_data"].astype(np.float32), arrays["by_token_indices"], arrays["by_token_indptr"])
    shortest, longest = arrays["char_range"].tolist()
    features = TextFeatures(
        tokens=texts["tokens"],
        words=texts["words"],
        ngrams=texts["ngrams"],
        char_range=(shortest, longest),
        by_token=sparse.csr_array(parts, shape=(len(texts["tokens"]), len(texts["words"]) + len(texts["ngrams"]))),
        pairs=arrays["pairs"],
        idf=arrays["idf"],
        valences=arrays["valences"],
        char_weight=float(arrays["char_weight"]),
        lexicon_weight=float(arrays["lexicon_weight"]),
    )
    width = len(features.idf) + (2 if features.lexicon_weight else 0)
    if arrays["weights"].shape != (width, len(texts["labels"])):
        raise ValueError(f"weights have the shape {arrays['weights'].shape}, not {(width, len(texts['labels']))}")
    return TaskModel(features, texts["labels"], arrays["weights"], arrays["intercepts"])


def lines_of(text: npt.NDArray[Any]) -> tuple[str, ...]:
    """Lines of UTF-8 text; none for no text."""
    return tuple(text.tobytes().decode().split("\n")) if text.size else ()


def _load_task(path: Path, content: bytes) -> TaskModel:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            model = from_arrays({name: archive[name] for name in archive.files})
        model.predict_proba(["builds the look-ups now, not at the first article"])
    except Exception as err:
        raise ArtifactError(
            f"{path} is no model of this version ({type(err).__name__}: {err}). Train the model again."
        ) from err
    return model
