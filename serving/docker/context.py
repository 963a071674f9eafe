"""What the engine is sent to build an image from: the Dockerfile, pinned requirements, code, settings and one version.

The same files make the same bytes, so that the engine finds layers that it has built before; and nothing of who built
it goes in: neither names, rights, times nor keys.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, NamedTuple

import yaml

from agent.errors import ConfigError, DeploymentError
from agent.settings import read_yaml
from serving.app.settings import SETTINGS_FILE, load_settings
from serving.app.versions import REGISTERED_FILE
from serving.docker.code import SOURCES, code_files
from serving.golden import SMOKE_FILE

FOLDER = Path(__file__).resolve().parent
PACKAGE = "news-classifier-agent"
SINKS = ("sqlite", "none")
API_KEYS = "api_keys"
"""The one setting that is given to a container, and not to an image."""
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
INSTEAD_OF = {"mlflow": "mlflow-skinny"}
"""What loads a model that asks for more than that."""


class Differences(NamedTuple):
    """How what a version was logged with differs from what the image installs."""

    missing: tuple[str, ...]
    """Requirements that the image does not have at all."""
    other: tuple[str, ...]
    """Sentences about those that it has in another version."""


def write_context(target: IO[bytes], model: Path, registered: Mapping[str, str], settings_file: Path) -> None:
    """Write the tar that a build takes.

    Args:
        target: Where it goes.
        model: Folder of the version.
        registered: Which version it is, for the server to tell.
        settings_file: The server's settings.

    Raises:
        ConfigError: the settings cannot be read.
    """
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in context_files(model, registered, settings_file):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))


def context_files(model: Path, registered: Mapping[str, str], settings_file: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file that a build takes, in a fixed order. Raises as `write_context` does."""
    for name in ("Dockerfile", "requirements.txt"):
        yield name, (FOLDER / name).read_bytes()
    for path in code_files():
        yield f"app/{path.relative_to(SOURCES).as_posix()}", path.read_bytes()
    yield f"app/{PACKAGE.replace('-', '_')}-{version(PACKAGE)}.dist-info/METADATA", metadata_of(PACKAGE)
    yield f"app/{SETTINGS_FILE.as_posix()}", settings_without_keys(settings_file)
    yield f"app/{SMOKE_FILE.as_posix()}", SMOKE_FILE.read_bytes()
    for path in files_in(model):
        yield f"model/{path.relative_to(model).as_posix()}", path.read_bytes()
    yield f"model/{REGISTERED_FILE}", json.dumps(registered).encode()


def metadata_of(package: str) -> bytes:
    """What makes Python know the version of a package whose files were copied."""
    return f"Metadata-Version: 2.1\nName: {package}\nVersion: {version(package)}\n".encode()


def files_in(folder: Path) -> list[Path]:
    """All files of a folder but compiled ones."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def settings_without_keys(path: Path) -> bytes:
    """The server's settings but for who may ask, which an image that is passed on should not tell.

    Raises:
        ConfigError: they cannot be read, or are not for an image.
    """
    sink = load_settings(path).predictions.sink
    if sink not in SINKS:
        raise ConfigError(
            f"{path}: the image has no package for predictions.sink {sink!r}. Choose one of: {', '.join(SINKS)}."
        )
    found = read_yaml(path) if path != SETTINGS_FILE or path.exists() else {}
    kept = {name: value for name, value in found.items() if name != API_KEYS}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).encode()


def check_requirements(number: str, model: Path) -> tuple[str, ...]:
    """Sentences about packages that the image has in another version than the model was logged with.

    Raises:
        DeploymentError: it lacks one.
    """
    found = differences(pins(model / "requirements.txt"), pins(FOLDER / "requirements.txt"))
    if found.missing:
        raise DeploymentError(
            f"Version {number} needs {', '.join(found.missing)}, which the image does not have. Add it to "
            "serving/docker/requirements.in and run 'make lock'."
        )
    return found.other


def differences(wanted: Mapping[str, set[str]], installed: Mapping[str, set[str]]) -> Differences:
    """Compare pinned requirements of a model with those of the image, which may differ between Pythons."""
    names = {name: INSTEAD_OF.get(name, name) for name in wanted}
    missing = tuple(name for name in wanted if names[name] not in installed)
    other = tuple(
        f"{name} {' or '.join(sorted(wanted[name]))}, the image has {' or '.join(sorted(installed[names[name]]))}"
        for name in wanted
        if name not in missing and not wanted[name] & installed[names[name]]
    )
    return Differences(missing, other)


def pins(path: Path) -> dict[str, set[str]]:
    """Package to the versions that a requirements file pins; several where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, pinned in PIN.findall(path.read_text(encoding="utf-8")):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(pinned)
    return found
