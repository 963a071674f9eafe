"""Every error that this product raises on purpose.

    NewsClassifierError
    ├── ConfigError      a configuration file or option is wrong
    ├── DataError        an input file or article is wrong
    ├── ArtifactError    a trained model on disk is missing, damaged or not trusted
    ├── StoreError       the MLflow store cannot be opened
    ├── ProviderError    a model could not be asked
    ├── IsolationError   a model version could not be loaded in a process of its own
    ├── JournalError     the journal of answers cannot be read or written
    ├── EvaluationError  figures cannot be computed from what was given
    ├── RegistryError    the model registry could not be read or changed
    ├── DeploymentError  an endpoint could not be brought to what was asked
    └── ServiceError     a server of the classifier gave no answer

A message is one line: what failed, the value, what is allowed, what to do next.
"""

from agent.redaction import redact


class NewsClassifierError(Exception):
    """Base of all errors shown to people as one line; `exit_code` is that of the command line."""

    exit_code = 2

    def __str__(self) -> str:
        """The message on one line and without secrets, whatever was quoted in it."""
        return redact(" ".join(super().__str__().split()))


class ConfigError(NewsClassifierError):
    """A configuration file or option is wrong."""


class DataError(NewsClassifierError):
    """An input file or article is wrong."""


class ArtifactError(NewsClassifierError):
    """A trained model on disk is missing, damaged or not trusted."""


class StoreError(NewsClassifierError):
    """The MLflow store cannot be opened."""


class ProviderError(NewsClassifierError):
    """A model could not be asked."""

    exit_code = 3


class IsolationError(NewsClassifierError):
    """A model version could not be loaded, or died, in a process of its own."""

    exit_code = 3


class JournalError(NewsClassifierError):
    """The journal of answers cannot be read or written."""

    exit_code = 3


class EvaluationError(NewsClassifierError):
    """Figures cannot be computed from what was given."""

    exit_code = 3


class RegistryError(NewsClassifierError):
    """The model registry could not be read or changed."""

    exit_code = 3


class DeploymentError(NewsClassifierError):
    """An endpoint could not be brought to what was asked."""

    exit_code = 3


class ServiceError(NewsClassifierError):
    """A server of the classifier gave no answer.

    Args:
        message: Where, why, and what to do.
        status: The HTTP status, where there was one.
    """

    exit_code = 3

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
