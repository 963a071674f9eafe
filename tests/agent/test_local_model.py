import json
import shutil
from pathlib import Path

import pytest
import skops.io
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from agent.errors import ArtifactError
from agent.local_model import MANIFEST, file_sha256, load_local_model, read_manifest


@pytest.fixture
def folder(local_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(local_model, tmp_path / "model"))


def replace_file(folder: Path, content: bytes) -> None:
    """Put another file in the place of the category pipeline, and let the manifest vouch for it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    entry = manifest["tasks"]["category"]
    path = folder / entry["file"]
    path.write_bytes(content)
    entry["sha256"] = file_sha256(path)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_a_model_loads_with_its_hash(local_model: Path) -> None:
    model = load_local_model(local_model)
    assert model.hash == file_sha256(local_model / MANIFEST)
    assert set(model.pipelines) == {"category", "sentiment"}
    assert len(model.labels["category"]) == 8


def test_a_changed_byte_is_refused(folder: Path) -> None:
    path = folder / read_manifest(folder).tasks["category"].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="manifest says"):
        load_local_model(folder)


def test_a_type_that_is_not_trusted_is_refused_and_named(folder: Path) -> None:
    evil = Pipeline([("run", FunctionTransformer(func=json.dumps)), ("model", LinearRegression())])
    replace_file(folder, skops.io.dumps(evil))
    with pytest.raises(ArtifactError, match=r"json\.dumps"):
        load_local_model(folder)


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_damaged_file_is_refused(folder: Path, content: bytes) -> None:
    replace_file(folder, content)
    with pytest.raises(ArtifactError, match=r"\.skops"):
        load_local_model(folder)


def test_missing_parts_are_named_with_what_to_do(folder: Path) -> None:
    (folder / read_manifest(folder).tasks["category"].file).unlink()
    with pytest.raises(ArtifactError, match="Train the model again"):
        load_local_model(folder)
    with pytest.raises(ArtifactError, match="news-classifier train --out"):
        load_local_model(folder / "nowhere")


def test_a_manifest_cannot_choose_its_loader(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | {"loader": "pickle"}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="'loader'"):
        load_local_model(folder)
