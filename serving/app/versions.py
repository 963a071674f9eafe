"""Which versions are to be served, as the watcher finds them."""

import json
from pathlib import Path
from typing import NamedTuple

from agent.errors import ArtifactError

REGISTERED_FILE = "registered.json"
"""Beside MLmodel in a folder that was taken out of a registry: which version it is."""


class Version(NamedTuple):
    """One version of a registered model, on this machine's disk."""

    name: str
    """Of the registered model; the folder's name for a folder that is of none."""
    number: str
    folder: Path
    alias: str | None = None
    """Under which it was asked for."""
    evidence_hash: str | None = None
    """Of the evidence that it was registered with."""


class Wanted(NamedTuple):
    """Who should be there now."""

    champion: Version | None
    """None while the alias is nobody's: whoever serves goes on."""
    challenger: Version | None = None


def version_in(folder: Path) -> Version:
    """The version in a folder, such as that of a Docker image.

    Raises:
        ArtifactError: it holds no model, or its `registered.json` cannot be read.
    """
    if not (folder / "MLmodel").is_file():
        raise ArtifactError(f"{folder} holds no MLmodel. Give the folder of a logged model, or models:/NAME@ALIAS.")
    path = folder / REGISTERED_FILE
    if not path.exists():
        return Version(folder.name, "0", folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Version(found["name"], str(found["version"]), folder, found.get("alias"), found.get("evidence_hash"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ArtifactError(f"{path} does not say which version this is: {err!r}. Build the folder again.") from err
