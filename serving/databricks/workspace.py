"""The workspace as a deployment sees it: one endpoint, the requests that change it, and questions to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.errors import DeploymentError
from registry.unity_catalog import open_workspace
from serving.databricks.endpoint import Request

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.serving import ServingEndpointDetailed

CHANGE_TIMEOUT_S = 60
"""A change that is given up too early is sent again, and then refused as made already."""
ANSWER_TIMEOUT_S = 180
"""An endpoint that had scaled to zero takes its time for the first answer."""


class Workspace:
    """The workspace of the environment, or of a profile.

    Raises:
        DeploymentError: it cannot be signed in to.
    """

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        with explained("sign in to the workspace"):
            self._client: WorkspaceClient = open_workspace(profile)
        self.host = str(self._client.config.host)

    def endpoint(self, name: str) -> "ServingEndpointDetailed | None":
        """An endpoint, None where there is none. Raises DeploymentError where that cannot be found out."""
        from databricks.sdk.errors import NotFound

        with explained(f"read the endpoint {name!r}"):
            try:
                return self._client.serving_endpoints.get(name)
            except NotFound:
                return None

    def endpoint_while_waiting(self, name: str) -> "ServingEndpointDetailed | None":
        """An endpoint that is known to be there; None where Databricks does not answer at the moment.

        Raises:
            DeploymentError: it is gone, or may no longer be read.
        """
        with explained(f"read the endpoint {name!r}"):
            try:
                return self._client.serving_endpoints.get(name)
            except Exception as err:
                if passes(err):
                    return None
                raise

    def send(self, request: Request) -> Any:
        """Send one request as it is. Raises DeploymentError if it is refused."""
        with explained(f"{request.method} {request.path}"):
            patient = open_workspace(self._profile, CHANGE_TIMEOUT_S)
            return patient.api_client.do(request.method, request.path, body=request.body)

    def ask(self, path: str, question: Mapping[str, Any]) -> Any:
        """The answer of an endpoint, which may first have to wake up. Raises what the SDK raises."""
        patient = open_workspace(self._profile, ANSWER_TIMEOUT_S)
        return patient.api_client.do("POST", path, body=dict(question))


def passes(err: Exception) -> bool:
    """Whether a failure passes by itself. The SDK's errors are OSErrors too, whatever they mean."""
    from databricks.sdk.errors import DeadlineExceeded, InternalError, TemporarilyUnavailable
    from databricks.sdk.errors.base import DatabricksError

    if isinstance(err, DatabricksError):
        return isinstance(err, (DeadlineExceeded, InternalError, TemporarilyUnavailable))
    return isinstance(err, OSError)


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Whatever the SDK raises inside becomes a DeploymentError that says what to do."""
    from databricks.sdk.errors import NotFound, PermissionDenied, ResourceConflict

    try:
        yield
    except Exception as err:
        said = str(err).partition(" Config: ")[0].rstrip(".")  # the SDK adds how it is configured
        match err:
            case ResourceConflict():
                advice = "Somebody else is changing the endpoint: run the command again, it waits for them."
            case PermissionDenied():
                advice = "It takes CAN MANAGE on the endpoint, EXECUTE on the model and READ on the secret scope."
            case NotFound():
                advice = "Look whether version, secrets and endpoint are still there."
            case _:
                advice = "Check DATABRICKS_HOST, how you sign in, and config/databricks.yaml."
        raise DeploymentError(f"Could not {action}: {said}. {advice}") from err
