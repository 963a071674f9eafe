"""What a store refuses, as errors of this product that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from agent.errors import RegistryError


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn whatever a store raises into a RegistryError that names the action."""
    try:
        yield
    except RegistryError:
        raise
    except Exception as err:
        raise RegistryError(
            f"Could not {action}: {err}. Check MLFLOW_REGISTRY_URI and your permissions; then run the command again."
        ) from err


def says_missing(err: MlflowException) -> bool:
    """Whether a store says that something does not exist, which is not the same as being unable to say."""
    return bool(err.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))
