"""What a store refuses, as errors of this product that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, ErrorCode

from agent.errors import DataError, RegistryError
from registry.unity_catalog import is_unity_catalog, refusal_explained

SAID_CHARS = 500
"""Of what a store says; some databases recite the whole statement, and what to do would be lost behind it."""


@contextmanager
def explained(action: str, model: str | None = None) -> Iterator[None]:
    """Turn whatever a store raises into a RegistryError that names the action; wrong data stays wrong data.

    Args:
        action: What was to be done.
        model: The registered model that was asked; what Unity Catalog refuses is said with who owns it.
    """
    try:
        yield
    except (RegistryError, DataError):
        raise
    except Exception as err:
        if model and getattr(err, "error_code", None) == ErrorCode.Name(PERMISSION_DENIED) and is_unity_catalog():
            raise RegistryError(f"Could not {action}: {refusal_explained(model, err)}") from err
        raise RegistryError(
            f"Could not {action}: {str(err)[:SAID_CHARS].rstrip('.')}. Check MLFLOW_REGISTRY_URI and your permissions; "
            "then run the command again."
        ) from err


def says_missing(err: MlflowException) -> bool:
    """Whether a store says that something does not exist, which is not the same as being unable to say."""
    return bool(err.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


@contextmanager
def unless_missing() -> Iterator[None]:
    """Let what is not there count as removed; stores differ on whether removing it is a mistake."""
    try:
        yield
    except MlflowException as err:
        if not says_missing(err):
            raise
