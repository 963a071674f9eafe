"""Which versions are to be served, as the watcher finds them."""

import json
import re
from pathlib import Path
from typing import NamedTuple, Self

from agent.champion import CHAMPION, registered_model_name
from agent.errors import ArtifactError, ConfigError

CHALLENGER = "challenger"
REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>\d+))")
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
    unknown: str | None = None
    """Why it could not be found out who the challenger is: whoever is it goes on. None if it could."""

    @property
    def versions(self) -> list[Version]:
        """All of them."""
        return [version for version in (self.champion, self.challenger) if version]


class Source(NamedTuple):
    """Where versions come from."""

    name: str
    """Of the registered model."""
    aliases: tuple[str, ...]
    """Of the champion and, where there is to be one, the challenger; or the number of a version."""
    fixed: Version | None = None
    """The version in a folder, instead of all that."""

    @classmethod
    def parse(cls, model: str) -> Self:
        """Read how people name a model: @ALIAS, models:/NAME@ALIAS, models:/NAME/NUMBER, or a folder.

        Raises:
            ConfigError: it is none of these.
            ArtifactError: the folder holds no model.
        """
        if model.startswith("@"):
            return cls(registered_model_name(), aliases_from(model[1:]))
        if found := REGISTERED.fullmatch(model):
            return cls(found["name"], aliases_from(found["alias"] or found["number"]))
        if Path(model).is_dir():
            version = version_in(Path(model).resolve())
            return cls(version.name, (), version)
        raise ConfigError(
            f"{model!r} is no model to serve. Give @ALIAS, models:/NAME@ALIAS, models:/NAME/NUMBER, or a folder."
        )


def aliases_from(first: str) -> tuple[str, ...]:
    """What is watched: beside the champion the challenger, for its share and as a shadow."""
    return (first, CHALLENGER) if first == CHAMPION else (first,)


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
