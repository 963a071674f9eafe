"""Writes a trained model: the same input gives the same bytes, and a killed training leaves the old model whole."""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import skops.io
from sklearn.pipeline import Pipeline

from agent.labels import Task
from agent.local_model import MANIFEST, Manifest, TaskFile

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
SCHEMA = "schema.json"
OBJECT_ID = re.compile(r'("__id__": |"file": ")(\d+)')


def write_local_model(folder: Path, manifest: Manifest, pipelines: Mapping[Task, bytes]) -> None:
    """Write the files of each task under names that carry their hash, then, in one step, the manifest that names them.

    Until that step the folder is the old model, afterwards the new one. Files that no manifest names are then removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for task, content in pipelines.items():
        write_atomically(folder / manifest.tasks[task].file, content)
    write_atomically(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
    named = {MANIFEST, *(entry.file for entry in manifest.tasks.values())}
    for path in folder.iterdir():
        if path.name not in named and path.suffix in {".skops", ".part"}:
            path.unlink()


def task_file(task: Task, content: bytes, labels: tuple[str, ...]) -> TaskFile:
    """The manifest's entry for a task's pipeline."""
    sha256 = hashlib.sha256(content).hexdigest()
    return TaskFile(file=f"{task}-{sha256[:12]}.skops", sha256=sha256, labels=labels)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either there whole or not at all, even if the machine stops."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def canonical_bytes(pipeline: Pipeline) -> bytes:
    """A pipeline as a skops file that depends on its content alone.

    skops names parts by their address in memory and dates them; here they are numbered in order and dated 1980.
    """
    archive = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    schema = archive.read(SCHEMA).decode()
    numbers: dict[str, str] = {}
    for _, identity in OBJECT_ID.findall(schema):
        numbers.setdefault(identity, str(len(numbers)))
    schema = OBJECT_ID.sub(lambda match: match[1] + numbers[match[2]], schema)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as target:
        for info in archive.infolist():
            if info.filename != SCHEMA:
                stem, _, suffix = info.filename.partition(".")
                _write_entry(target, f"{numbers[stem]}.{suffix}", archive.read(info))
        _write_entry(target, SCHEMA, json.dumps(json.loads(schema), sort_keys=False).encode())
    return written.getvalue()


def _write_entry(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content, zipfile.ZIP_DEFLATED)
