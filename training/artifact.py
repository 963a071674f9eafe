"""Writes a trained model: the same input gives the same bytes, and a killed training leaves the old model whole."""

import hashlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from agent.labels import Task
from agent.local_model import MANIFEST, FileEntry, Manifest, TaskModel, to_arrays

OURS = re.compile(r"(category|sentiment)-[0-9a-f]{12}\.npz(\.part)?")
"""Names that only this module gives: earlier models, and what a killed training left."""


def archive(model: TaskModel) -> bytes:
    """A task's model as a NumPy archive; NumPy dates its entries 1980, so the bytes depend on the content alone."""
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **to_arrays(model))
    return written.getvalue()


def file_entry(task: Task, content: bytes) -> FileEntry:
    """The manifest's entry for a task's file, whose name carries its hash."""
    sha256 = hashlib.sha256(content).hexdigest()
    return FileEntry(file=f"{task}-{sha256[:12]}.npz", sha256=sha256)


def write_local_model(folder: Path, manifest: Manifest, contents: Mapping[Task, bytes]) -> None:
    """Write the files of each task, then, in one step, the manifest that names them.

    Until that step the folder is the old model, afterwards the new one. Files that no manifest names are then removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for task, content in contents.items():
        write_atomically(folder / manifest.tasks[task].file, content)
    write_atomically(folder / MANIFEST, f"{manifest.model_dump_json(indent=2)}\n".encode())
    named = {entry.file for entry in manifest.tasks.values()}
    for path in folder.iterdir():
        if path.name not in named and OURS.fullmatch(path.name):
            path.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either there whole or not at all, even if the machine stops."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
