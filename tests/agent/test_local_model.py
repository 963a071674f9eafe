import io
import json
import pickle
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ArtifactError
from agent.local_model import MANIFEST, file_sha256, load_local_model, read_manifest


@pytest.fixture
def folder(local_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(local_model, tmp_path / "model"))


def category_file(folder: Path) -> Path:
    return folder / read_manifest(folder).tasks["category"].file


def replace_file(folder: Path, content: bytes) -> None:
    """Put another file in the place of the category's, and let the manifest vouch for it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    entry = manifest["tasks"]["category"]
    (folder / entry["file"]).write_bytes(content)
    entry["sha256"] = file_sha256(folder / entry["file"])
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_a_model_loads_with_its_hash(local_model: Path) -> None:
    model = load_local_model(local_model)
    assert model.hash == file_sha256(local_model / MANIFEST)
    assert set(model.tasks) == {"category", "sentiment"}
    assert len(model.tasks["category"].labels) == 8


def test_a_model_is_held_once_and_its_files_are_checked_each_time(local_model: Path, folder: Path) -> None:
    model = load_local_model(local_model)
    assert load_local_model(folder) is model
    category_file(folder).write_bytes(b"changed")
    with pytest.raises(ArtifactError, match="manifest says"):
        load_local_model(folder)
    held = weakref.ref(model)
    del model
    assert held() is None


def test_a_changed_byte_is_refused(folder: Path) -> None:
    content = bytearray(category_file(folder).read_bytes())
    content[len(content) // 2] ^= 1
    category_file(folder).write_bytes(content)
    with pytest.raises(ArtifactError, match="manifest says"):
        load_local_model(folder)


class Payload:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path("pwned").write_text, ("code ran",))


def test_pickled_objects_are_refused_and_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with np.load(category_file(folder)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    written = io.BytesIO()
    np.savez(written, **arrays | {"weights": np.array([Payload()], dtype=object)})
    for content in (written.getvalue(), pickle.dumps(Payload())):
        replace_file(folder, content)
        with pytest.raises(ArtifactError, match=r"\.npz"):
            load_local_model(folder)
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(folder: Path, content: bytes) -> None:
    replace_file(folder, content)
    with pytest.raises(ArtifactError, match="Train the model again"):
        load_local_model(folder)


def test_missing_parts_are_named_with_what_to_do(folder: Path) -> None:
    category_file(folder).unlink()
    with pytest.raises(ArtifactError, match="Train the model again"):
        load_local_model(folder)
    with pytest.raises(ArtifactError, match="news-classifier train --out"):
        load_local_model(folder / "nowhere")


@pytest.mark.parametrize(
    ("field", "value"), [("loader", "pickle"), ("engine", "mystery"), ("format_version", 2), ("surprise", 1)]
)
def test_a_manifest_cannot_choose_how_it_is_read(folder: Path, field: str, value: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | {field: value}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=field):
        load_local_model(folder)


def test_a_manifest_cannot_point_outside_its_folder(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["tasks"]["category"]["file"] = "../secret-000000000000.npz"
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tasks\.category\.file"):
        load_local_model(folder)
