"""An image of one registered version: which version, what the image says about itself, and how it is built."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, NamedTuple

from docker.errors import ImageNotFound
from mlflow.artifacts import download_artifacts
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.errors import DeploymentError, RegistryError
from agent.redaction import redact
from agent.settings import read_yaml
from registry.versions import CHAMPION, EVIDENCE_TAG, Registry, Version
from serving.docker.context import PACKAGE, check_requirements, write_context
from serving.docker.engine import last_lines

REPOSITORY = "news-classifier"
"""Name of the images, and first part of our own labels."""
LABEL = f"{REPOSITORY}."
CHOICE = re.compile(r"(?:models:/(?P<name>[^/@]+))?(?:@(?P<alias>\w+)|/(?P<number>\d+))$")
LABELLED_TAGS = {"provider": "provider", "evidence-hash": EVIDENCE_TAG, "code-hash": "code_hash"}
"""Label of an image, to the tag of the version that it repeats."""
STEP_CHARS = 110
"""Of a step that is told; some are long."""
MB = 1_000_000
"""As `docker images` counts."""


class Chosen(NamedTuple):
    """A registered version."""

    name: str
    version: Version

    @property
    def uri(self) -> str:
        """By number, because an alias may move meanwhile."""
        return f"models:/{self.name}/{self.version.number}"

    @property
    def registered(self) -> dict[str, str]:
        """Which version it is, as its server tells."""
        evidence = self.version.tags.get(EVIDENCE_TAG)
        return {"name": self.name, "version": self.version.number} | ({"evidence_hash": evidence} if evidence else {})

    @property
    def tag(self) -> str:
        """What its image is called unless somebody says otherwise."""
        return f"{REPOSITORY}:{self.version.number}"


class Image(NamedTuple):
    """An image that is there."""

    tag: str
    id: str
    size_mb: int
    labels: Mapping[str, str]

    def label(self, name: str) -> str:
        """One of our own labels; empty where it has none."""
        return self.labels.get(LABEL + name, "")


def choose(model: str) -> Chosen:
    """The registered version that is meant.

    Args:
        model: `@champion` or another alias, or a URI such as `models:/news_classifier/3`.

    Raises:
        RegistryError: there is no such version, or the registry cannot be read.
    """
    meant = CHOICE.fullmatch(model)
    if meant is None:
        raise RegistryError(
            f"{model!r} names no registered version. Give @champion, another alias, or models:/NAME/NUMBER."
        )
    name = meant["name"] or registered_model_name()
    snapshot = Registry(name, MlflowClient()).snapshot()
    if meant["alias"]:
        version = snapshot.holder(meant["alias"])
    else:
        version = next((one for one in snapshot.versions if one.number == meant["number"]), None)
    if version is None:
        remedy = "Make one first: news-classifier run." if meant["alias"] == CHAMPION else "See: make status."
        raise RegistryError(f"{name} has no version {model!r}. {remedy}")
    return Chosen(name, version)


def build(
    client: Any, chosen: Chosen, *, tag: str, base: str | None, settings_file: Path, tell: Callable[[str], None]
) -> Image:
    """Build the image of a version.

    Args:
        client: The engine.
        chosen: The version.
        tag: What the image is called.
        base: The image with Python that it stands on; Docker's own of the Python that the version was logged with
            unless given.
        settings_file: The server's settings.
        tell: Told what is going on, a line at a time.

    Raises:
        DeploymentError: it cannot be built; the message has the last lines of the build.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as context:
        model = Path(download_artifacts(artifact_uri=chosen.uri, dst_path=folder))
        for difference in check_requirements(chosen.version.number, model):
            tell(f"Version {chosen.version.number} was logged with {difference}.")
        write_context(context, model, chosen.registered, settings_file)
        context.seek(0)
        base = base or f"python:{python_of(model)}-slim"
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            buildargs={"BASE": base},
            labels=labels(chosen, base),
            rm=True,
            forcerm=True,
            decode=True,
        )
        follow(stream, base, tell)
    found = find(client, tag)
    tell(f"Built {tag} ({found.size_mb} MB) in {time.monotonic() - started:.0f} s.")
    return found


def follow(stream: Iterator[Mapping[str, Any]], base: str, tell: Callable[[str], None]) -> None:
    """Tell the steps of a build as they come. Raises DeploymentError where one fails."""
    said = ""
    for message in stream:
        text = message.get("stream", "")
        said += text
        if text.startswith("Step "):
            tell(redact(text.strip())[:STEP_CHARS])
        if "error" in message:
            raise DeploymentError(
                f"The image could not be built on {base}: {message['error']} It last said: {last_lines(said)}. Correct "
                "that and build again; steps that succeeded are kept."
            )


def find(client: Any, tag: str) -> Image:
    """An image by its name. Raises DeploymentError where there is none."""
    try:
        found = client.images.get(tag)
    except ImageNotFound as err:
        raise DeploymentError(
            f"There is no image {tag!r}. Build it first: news-classifier serve docker --build."
        ) from err
    return Image(tag, found.id, round(found.attrs["Size"] / MB), dict(found.labels))


def python_of(model: Path) -> str:
    """Major and minor number of the Python that a version was logged with."""
    python = str(read_yaml(model / "python_env.yaml").get("python", ""))
    return ".".join(python.split(".")[:2])


def labels(chosen: Chosen, base: str) -> dict[str, str]:
    """What an image says about itself: by the names of the Open Container Initiative, and by ours.

    The time is not among them, so that the same version makes the same image again.
    """
    tags = chosen.version.tags
    standard = {
        "title": REPOSITORY,
        "description": f"Version {chosen.version.number} of {chosen.name}, which classifies news, and its server",
        "version": chosen.version.number,
        "licenses": "Apache-2.0",
        "base.name": base,
    }
    ours = {
        "model": chosen.name,
        "version": chosen.version.number,
        "server": installed_version(PACKAGE),
        **{label: tags[tag] for label, tag in LABELLED_TAGS.items() if tag in tags},
    }
    return {f"org.opencontainers.image.{name}": value for name, value in standard.items()} | {
        LABEL + name: value for name, value in ours.items()
    }
