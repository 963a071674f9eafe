"""One version with everything that was decided on it, as files that an auditor can read and check."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import mlflow

from agent.errors import DataError
from registry.ledger import Ledger
from registry.refusals import explained
from registry.render import history_json
from registry.versions import Registry, Version

MANIFEST = "SHA256SUMS"
"""As `sha256sum --check` reads it."""


def export_version(registry: Registry, ledger: Ledger, number: str, target: Path) -> list[str]:
    """Write a version into a new folder, or into an archive where the name ends in .zip. Returns the files' names.

    There are the logged model, the files of its evaluation with every evidence, the version with its tags and card, the
    history of the registered model, and a manifest. It appears whole or not at all.

    Raises:
        DataError: there is no such version, the target exists or cannot be written.
        RegistryError: something cannot be read.
    """
    if target.exists():
        raise DataError(f"{target} exists already. Give another path with --out.")
    version = next((one for one in registry.snapshot().versions if one.number == number), None)
    if version is None:
        raise DataError(f"{registry.name} has no version {number!r}. See: news-classifier registry status.")
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=f".{target.name}-") as scratch:
            folder = Path(scratch) / target.stem
            names = write_files(registry, ledger, version, folder)
            if target.suffix == ".zip":
                archive = shutil.make_archive(str(Path(scratch) / "archive"), "zip", scratch, folder.name)
                Path(archive).replace(target)
            else:
                folder.replace(target)
    except OSError as err:
        raise DataError(f"{target} cannot be written: {err}. Give another path with --out.") from err
    return names


def write_files(registry: Registry, ledger: Ledger, version: Version, folder: Path) -> list[str]:
    """Everything on one version, and the manifest. Raises RegistryError."""
    history = ledger.read()
    folder.mkdir(parents=True)
    with explained(f"export version {version.number} of {registry.name!r}"):
        mlflow.artifacts.download_artifacts(f"models:/{registry.name}/{version.number}", dst_path=str(folder / "model"))
        if version.run_id:
            mlflow.artifacts.download_artifacts(run_id=version.run_id, dst_path=str(folder / "evaluation"))
    write_json(folder / "version.json", {"name": registry.name, **version._asdict()})
    write_json(folder / "history.json", history_json(registry.name, history))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    sums = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    manifest = "".join(f"{digest}  {name}\n" for digest, name in zip(sums, names, strict=True))
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    return [*names, MANIFEST]


def write_json(path: Path, value: object) -> None:
    """Write one JSON file for people to read."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
