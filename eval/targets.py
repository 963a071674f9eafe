"""What is evaluated: a candidate with the code that stands here, or a logged version with its own."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.errors import IsolationError
from agent.fingerprint import code_hash
from agent.isolation import IsolatedCandidate, IsolatedModel
from agent.providers import Pace
from agent.records import Article, Classification
from agent.settings import parse_settings, read_yaml
from eval.memory import give_back_memory
from eval.store import open_store

URI_SCHEMES = ("models:/", "runs:/")
ENTRY = "model.py"
CODE_HASH = "code_hash"
"""In the metadata of a logged model: sha256 of the `agent` package that was logged with it."""


def released(classifier: Classifier) -> None:
    """Free a model that computes; figures and pictures need the memory."""
    classifier.release()
    give_back_memory()


def runs_what_is_packed(model: IsolatedModel) -> bool:
    """Whether the file that MLflow runs, which it keeps beside the package, is the one in the package."""
    return (model.model_path / ENTRY).read_bytes() == (model.code / ENTRY).read_bytes()


class Classify(Protocol):
    """Answers every article once, as `Classifier.classify` does."""

    def __call__(self, articles: Sequence[Article], pace: Pace) -> Iterator[tuple[int, Classification]]:
        """The answers as they come, each with the index of its article."""


class Target(NamedTuple):
    """Something that answers articles, and what is known about it."""

    config: AgentConfig
    code_hash: str
    """sha256 of the `agent` package that answers."""
    model_uri: str | None
    """Where the version is logged; None for a candidate, which is logged when it is evaluated."""
    classify: Classify
    stop: Callable[[], None]
    """Ends the work of `classify` from another thread."""
    close: Callable[[], None]
    """Frees what answering needed; doing it twice is allowed."""

    @classmethod
    def of(cls, config: AgentConfig) -> Self:
        """A candidate, answering with the code that stands here; one that waits for others in a process of its own.

        Raises:
            ArtifactError: the trained model cannot be loaded.
            ConfigError: a key is missing.
        """
        classifier = Classifier(config)
        classifier.open()
        if config.prompt is None:
            return cls(config, code_hash(), None, classifier.classify, lambda: None, partial(released, classifier))
        process = IsolatedCandidate(config)
        return cls(config, code_hash(), None, process.classify_at, process.stop, process.close)

    @classmethod
    def of_version(cls, uri: str) -> Self:
        """A logged version, answering in a process of its own with its own code.

        Raises:
            IsolationError: it cannot be loaded, or the code that answers is not the code that was logged.
            ConfigError: its configuration is not one that is known here.
        """
        uri = fixed_version(uri)
        model = IsolatedModel(uri)
        try:
            described: Any = read_yaml(model.model_path / "MLmodel")
            found, logged = code_hash(model.code), described.get("metadata") or {}
            if found != logged.get(CODE_HASH) or not runs_what_is_packed(model):
                raise IsolationError(
                    f"The code of {uri!r} in {model.code} has the hash {found}, and {logged.get(CODE_HASH)} was logged "
                    "with it. It was changed, or logged by another version of this product; log it again."
                )
            config = parse_settings(described["flavors"]["python_function"]["config"], AgentConfig, Path(uri))
        except BaseException:
            model.close()
            raise
        return cls(config, found, uri, model.classify_at, model.stop, model.close)

    @property
    def waits(self) -> bool:
        """Whether answers are waited for, so that something else can be done meanwhile; a local model computes."""
        return self.config.prompt is not None


def fixed_version(uri: str) -> str:
    """The version that an alias stands for now, because it may stand for another one soon; any other URI as it is.

    Raises:
        StoreError: the MLflow store cannot be opened.
        IsolationError: there is no such alias.
    """
    name, at, alias = uri.removeprefix("models:/").partition("@")
    if not at:
        return uri
    from mlflow import MlflowClient  # two seconds, and only needed here
    from mlflow.exceptions import MlflowException

    open_store()
    try:
        return f"models:/{name}/{MlflowClient().get_model_version_by_alias(name, alias).version}"
    except MlflowException as err:
        raise IsolationError(f"Cannot load {uri!r}: {err}. Check the name, the alias and MLFLOW_TRACKING_URI.") from err
