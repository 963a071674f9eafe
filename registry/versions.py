"""The registered model as this product sees it: versions with what was measured on them, and four aliases.

Every call to MLflow's registry is made here. What cannot be read is an error, never "there is none".
"""

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent.errors import RegistryError
from agent.redaction import redact
from registry.refusals import explained, says_missing, unless_missing
from registry.unity_catalog import is_unity_catalog

CHAMPION, CHALLENGER, CANDIDATE, DEFEATED = ALIASES = ("champion", "challenger", "candidate", "defeated")
SET_ORDER = (DEFEATED, CANDIDATE, CHAMPION, CHALLENGER)
"""So that no version loses its place before it has the next one, and a champion exists at every moment."""
READY = "READY"
READERS = 8
TAG_CHARS = 250
"""Unity Catalog has limited tag values to 255 characters, and today to 1,000; it refuses spaces at their ends."""
REGISTERED_AS_TAG = "registered_as"
"""The alias that a version was registered for, or `none`; a later registration completes one that was interrupted."""
EVIDENCE_TAG = "evidence_hash"
"""Names the evidence that the version was registered with."""
MEASURED_TAGS = {
    "category_accuracy": "category_accuracy",
    "category_f1": "category_macro_f1",
    "sentiment_accuracy": "sentiment_accuracy",
    "latency_ms_p95": "latency_ms_p95",
    "cost_usd_per_1k": "cost_usd_per_1k",
    "articles": "articles",
}
"""Tag of a version, to the figure of the evaluation that it holds."""


class Version(NamedTuple):
    """One version of the registered model, with all its files."""

    number: str
    run_id: str | None
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    description: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured on it, by the names of the evaluation's figures; missing stays missing.

        Raises:
            RegistryError: somebody wrote a tag that is no number.
        """
        return {name: self._number(tag) for tag, name in MEASURED_TAGS.items() if tag in self.tags}

    def _number(self, tag: str) -> float:
        try:
            value = float(self.tags[tag])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise RegistryError(
                f"Version {self.number} has the tag {tag}={self.tags[tag]!r}, which is no number. Correct the tag."
            )
        return value


class Snapshot(NamedTuple):
    """All versions that can be loaded, newest first, and where the aliases point, read at one moment.

    A version whose files were never uploaded whole, which only Unity Catalog keeps, is none.
    """

    versions: tuple[Version, ...]
    aliases: Mapping[str, str]

    def holder(self, alias: str) -> Version | None:
        """The version that has an alias, None where nobody has it.

        Raises:
            RegistryError: the alias points to a version that cannot be found, which is not the same as none.
        """
        number = self.aliases.get(alias)
        found = next((version for version in self.versions if version.number == number), None)
        if number is not None and found is None:
            raise RegistryError(
                f"Alias {alias!r} points to version {number}, which is missing or not ready. Move or delete the alias."
            )
        return found

    def without(self, number: str | None) -> "Snapshot":
        """The same without one version, and without what points to it."""
        versions = tuple(version for version in self.versions if version.number != number)
        return Snapshot(versions, {alias: held for alias, held in self.aliases.items() if held != number})


class Registry:
    """One registered model.

    Args:
        name: Its name; three-level in Unity Catalog.
        client: MLflow's client, already pointed at the store.
    """

    def __init__(self, name: str, client: MlflowClient) -> None:
        self.name = name
        self._client = client

    def snapshot(self) -> Snapshot:
        """All versions and aliases.

        Raises:
            RegistryError: the registry cannot be read.
        """
        with explained(f"read the registered model {self.name!r}", self.name):
            try:
                model = self._client.get_registered_model(self.name)
            except MlflowException as err:
                if says_missing(err):
                    return Snapshot((), {})
                raise
            aliases = _ours(model.aliases)
            with ThreadPoolExecutor(READERS) as readers:
                found = [_version(entry, aliases) for entry in readers.map(self._whole, self._search())]
        return Snapshot(tuple(sorted(found, key=lambda version: -int(version.number))), aliases)

    def aliases(self) -> dict[str, str]:
        """Where the four aliases point now. Raises RegistryError if the registry cannot be read."""
        with explained(f"read the aliases of {self.name!r}", self.name):
            try:
                return _ours(self._client.get_registered_model(self.name).aliases)
            except MlflowException as err:
                if says_missing(err):
                    return {}
                raise

    def exists(self, number: str) -> bool:
        """Whether there is a whole version of that number. Raises RegistryError if that cannot be found out."""
        with explained(f"read version {number} of {self.name!r}", self.name):
            try:
                return bool(self._client.get_model_version(self.name, number).status == READY)
            except MlflowException as err:
                if says_missing(err):
                    return False
                raise

    def tags(self, number: str) -> Mapping[str, str]:
        """Tags of a version. Raises RegistryError if there is no such version, or it cannot be read."""
        with explained(f"read version {number} of {self.name!r}", self.name):
            return dict(self._client.get_model_version(self.name, number).tags)

    def put_aliases(self, wanted: Mapping[str, str]) -> None:
        """Make the four aliases point where they are wanted, and nowhere else; the champion moves in one call.

        Raises:
            RegistryError: the registry refused; aliases that were put before that stay.
        """
        current = self.aliases()
        for alias in SET_ORDER:
            if alias in wanted and current.get(alias) != wanted[alias]:
                self.set_alias(alias, wanted[alias])
        for alias in ALIASES:
            if alias in current and alias not in wanted:
                self.delete_alias(alias)

    def create_version(
        self, model_uri: str, run_id: str, tags: Mapping[str, str], description: str = "", *, is_first: bool = True
    ) -> str:
        """Register a logged model as a new version, with tags and description from the start. Returns its number.

        Args:
            model_uri: Of the logged model.
            run_id: Of its evaluation.
            tags: Of the version.
            description: Of the version.
            is_first: Whether there was no version before, so that the registered model may be made.

        Raises:
            RegistryError: the registry refused, or the model was deleted, so that it would number versions again.
        """
        with explained(f"register {model_uri} as a version of {self.name!r}", self.name):
            try:
                self._client.get_registered_model(self.name)
            except MlflowException as err:
                if not says_missing(err):
                    raise
                if not is_first:
                    raise RegistryError(
                        f"The registered model {self.name!r} was deleted, and its history names versions whose numbers "
                        "would be given again. Rename the experiment of its history, so that a new one begins: mlflow "
                        "experiments rename."
                    ) from err
                self._create_model()
            kept = self._kept_from_mlflow(model_id := model_uri.rpartition("/")[2])
            created = self._client.create_model_version(
                self.name,
                source=kept or model_uri,
                run_id=run_id,
                tags={tag: _tag_value(value) for tag, value in tags.items()},
                description=description,
                model_id=None if kept else model_id,
            )
        return str(created.version)

    def set_alias(self, alias: str, number: str) -> None:
        """Point an alias to a version, unless somebody else does so at the moment. Raises RegistryError if refused."""
        with explained(f"set alias {alias!r} of {self.name!r} to version {number}", self.name):
            try:
                self._client.set_registered_model_alias(self.name, alias, number)
            except MlflowException:
                if self.aliases().get(alias) != number:
                    raise

    def delete_alias(self, alias: str) -> None:
        """Remove an alias, if it is there. Raises RegistryError if the registry refuses."""
        with explained(f"remove alias {alias!r} of {self.name!r}", self.name), unless_missing():
            self._client.delete_registered_model_alias(self.name, alias)

    def set_tag(self, number: str, tag: str, value: str) -> None:
        """Set a version's tag, cut to what every registry takes. Raises RegistryError if the registry refuses."""
        with explained(f"set tag {tag!r} of version {number} of {self.name!r}", self.name):
            self._client.set_model_version_tag(self.name, number, tag, _tag_value(value))

    def describe(self, number: str, text: str) -> None:
        """Replace a version's description. Raises RegistryError if the registry refuses."""
        with explained(f"describe version {number} of {self.name!r}", self.name):
            self._client.update_model_version(self.name, number, text)

    def delete_tag(self, number: str, tag: str) -> None:
        """Remove a version's tag, if it is there. Raises RegistryError if the registry refuses."""
        with explained(f"remove tag {tag!r} of version {number} of {self.name!r}", self.name), unless_missing():
            self._client.delete_model_version_tag(self.name, number, tag)

    def _create_model(self) -> None:
        try:
            self._client.create_registered_model(self.name)
        except MlflowException:  # somebody else made it meanwhile, or it really cannot be made
            self._client.get_registered_model(self.name)

    def _kept_from_mlflow(self, model_id: str) -> str | None:
        """The folder of a model that stands at a `file:` address, where it goes to Unity Catalog; else None.

        MLflow 3.17 takes it for a temporary copy and deletes it after the upload, unless it is given as a path.
        """
        if not is_unity_catalog():
            return None
        location = self._client.get_logged_model(model_id).artifact_location
        return url2pathname(urlsplit(location).path) if location.startswith("file:") else None

    def _whole(self, entry: ModelVersion) -> ModelVersion:
        """A version with its tags, which Unity Catalog leaves out of what a search finds."""
        if isinstance(entry, ModelVersionSearch):
            return self._client.get_model_version(self.name, str(entry.version))
        return entry

    def _search(self) -> Iterator[ModelVersion]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{self.name}'", page_token=token)
            yield from (entry for entry in page if entry.status == READY)
            token = page.token
            if not token:
                return


def version_uri(name: str, number: str) -> str:
    """Where MLflow has the files of a version."""
    return f"models:/{name}/{number}"


def _version(entry: ModelVersion, aliases: Mapping[str, str]) -> Version:
    number = str(entry.version)
    held = tuple(alias for alias, holder in aliases.items() if holder == number)
    return Version(number, entry.run_id, dict(entry.tags), held, entry.description or "")


def _tag_value(text: str) -> str:
    return redact(text)[:TAG_CHARS].strip()


def _ours(aliases: Mapping[str, object]) -> dict[str, str]:
    """The four aliases among those of a model; others are people's own business."""
    return {alias: str(aliases[alias]) for alias in ALIASES if alias in aliases}
