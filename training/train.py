"""Trains the local model: cross-validates on the training set alone, then fits on all of it and writes the folder."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_validate

from agent.errors import ArtifactError, ConfigError, DataError
from agent.fingerprint import PACKAGE
from agent.labels import TASKS, LabelSet, Task
from agent.local_model import Manifest, TrainingData, load_local_model, read_manifest
from agent.text_features import article_text
from eval.labeled_set import LabeledSet
from training.artifact import archive, file_entry, write_local_model
from training.config import TaskConfig, TrainingConfig
from training.pipeline import build_pipeline, task_model

LIBRARIES = ("numpy", "scipy", "scikit-learn", "vaderSentiment")
CODE = (PACKAGE / "text_features.py", PACKAGE / "local_model.py", *sorted(Path(__file__).parent.glob("*.py")))
"""Files whose change may change the bytes of a model."""
Progress = Callable[[str], None]
"""Called with what begins now."""


class Examples(NamedTuple):
    """Training texts of one task."""

    texts: list[str]
    labels: list[str]


class TaskReport(NamedTuple):
    """How one task's pipeline did in cross-validation; mean and standard deviation over the folds."""

    task: Task
    rows: int
    accuracy: float
    accuracy_sd: float
    macro_f1: float
    macro_f1_sd: float
    log_loss: float
    """Of the calibrated probabilities, nats."""


class TrainingReport(NamedTuple):
    """What a training did."""

    folder: Path
    manifest: Manifest
    tasks: tuple[TaskReport, ...]
    """Of those that the sets have labels for."""
    seconds: float
    size_bytes: int


def train(
    sets: Sequence[LabeledSet],
    out: Path,
    config: TrainingConfig,
    labels: LabelSet,
    progress: Progress = lambda step: None,
) -> TrainingReport:
    """Train on every row of every set; a set with one kind of label trains that task only.

    Args:
        sets: Labelled sets, at least one.
        out: Folder of the model; replaced in one step when everything is done.
        config: Features, classifiers, folds and seed.
        labels: The configured labels with their descriptions.
        progress: Told what begins.

    Raises:
        DataError: a task has a label with fewer articles than folds, or only one label, or a set is given twice.
        ConfigError: scikit-learn refuses the settings of a task.
    """
    started = time.perf_counter()
    if len({item.digest for item in sets}) < len(sets):
        raise DataError(
            "The same training data is given twice, which would flatter the cross-validation. Give it once."
        )
    examples = {task: found for task in TASKS if (found := collect_examples(sets, task)).texts}
    for task, found in examples.items():
        check_examples(task, found, config.folds, sets)
    reports, contents, files = [], {}, {}
    for task, found in examples.items():
        task_config = config.category if task == "category" else config.sentiment
        progress(f"{task}: cross-validating {len(found.texts):,} articles in {config.folds} folds")
        try:
            reports.append(cross_validated(task, found, task_config, config))
        except (TypeError, ValueError) as err:
            raise ConfigError(
                f"The {task} pipeline cannot be trained: {err}. Correct '{task}' in the training configuration."
            ) from err
        progress(f"{task}: fitting on all {len(found.texts):,} articles")
        pipeline = build_pipeline(task_config, config.folds)
        prior = descriptions(labels, task, config.description_copies)
        pipeline.fit(found.texts + prior.texts, found.labels + prior.labels)
        contents[task] = archive(task_model(pipeline))
        files[task] = file_entry(task, contents[task])
    manifest = Manifest(
        name=config.name,
        tasks=files,
        training_digest=training_digest(sets, config, labels),
        data=tuple(TrainingData(file=item.path.name, rows=len(item.rows), digest=item.digest) for item in sets),
        versions=library_versions(),
    )
    write_local_model(out, manifest, contents)
    size = sum(map(len, contents.values()))
    return TrainingReport(out, manifest, tuple(reports), time.perf_counter() - started, size)


def is_up_to_date(sets: Sequence[LabeledSet], out: Path, config: TrainingConfig, labels: LabelSet) -> bool:
    """Whether the folder holds, undamaged, what `train` would write for this input."""
    try:
        if read_manifest(out).training_digest != training_digest(sets, config, labels):
            return False
        load_local_model(out)
    except ArtifactError:
        return False
    return True


def collect_examples(sets: Sequence[LabeledSet], task: Task) -> Examples:
    """Texts and labels of every row that has a label for the task."""
    rows = [row for item in sets for row in item.rows if task in row.gold]
    return Examples([article_text(row.title, row.content) for row in rows], [row.gold[task] for row in rows])


def descriptions(labels: LabelSet, task: Task, copies: int) -> Examples:
    """The descriptions of the labels as training texts, `copies` times."""
    described = (labels.categories if task == "category" else labels.sentiments) * copies
    return Examples(
        [article_text(label.name, label.description) for label in described], [label.name for label in described]
    )


def check_examples(task: Task, examples: Examples, folds: int, sets: Sequence[LabeledSet]) -> None:
    """Raise DataError unless every fold can hold every label."""
    files = ", ".join(str(item.path) for item in sets)
    names, counts = np.unique(examples.labels, return_counts=True)
    if len(names) < 2:
        raise DataError(
            f"{files}: all articles have the {task} {str(names[0])!r}; at least two labels are needed. Add articles."
        )
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        raise DataError(
            f"{files}: {task} {str(names[rarest])!r} has {counts[rarest]} articles; at least {folds}, one a fold, are "
            "needed. Add articles or lower 'folds' in the training configuration."
        )


def cross_validated(task: Task, examples: Examples, task_config: TaskConfig, config: TrainingConfig) -> TaskReport:
    """Accuracy, macro-F1 and log loss over the folds of the training set."""
    scores = cross_validate(
        build_pipeline(task_config, config.folds),
        examples.texts,
        examples.labels,
        cv=StratifiedKFold(config.folds, shuffle=True, random_state=config.seed),
        scoring=("accuracy", "f1_macro", "neg_log_loss"),
        n_jobs=-1,
        error_score="raise",
    )
    accuracy, macro_f1 = scores["test_accuracy"], scores["test_f1_macro"]
    return TaskReport(
        task,
        len(examples.texts),
        float(accuracy.mean()),
        float(accuracy.std(ddof=1)),
        float(macro_f1.mean()),
        float(macro_f1.std(ddof=1)),
        float(-scores["test_neg_log_loss"].mean()),
    )


def training_digest(sets: Sequence[LabeledSet], config: TrainingConfig, labels: LabelSet) -> str:
    """sha256 of everything that decides the bytes of the model."""
    inputs = {
        "data": [item.digest for item in sets],
        "config": config.model_dump(mode="json"),
        "labels": labels.model_dump(mode="json"),
        "code": [hashlib.sha256(path.read_bytes()).hexdigest() for path in CODE],
        "versions": library_versions(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a trained model depends on."""
    return {name: version(name) for name in LIBRARIES}
