"""Brings the endpoint to what is wanted: send, wait, try, and back to what was there if any of it fails.

Everything is read from Databricks when the command starts, so the same command after an interruption goes on from
what stands. Requests go out exactly as `endpoint.py` made them, which is also what `--dry-run` shows.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from agent.errors import DeploymentError
from serving.databricks.agents import CALL, agents_request, call_agents
from serving.databricks.endpoint import (
    ENDPOINTS,
    Endpoint,
    Request,
    config_request,
    gateway_requests,
    refuse_strangers,
    requests_for,
)
from serving.databricks.present import (
    config_of,
    gateway_of,
    has_failed,
    is_ready,
    is_updating,
    serving_sentence,
    shares,
    state_sentence,
    traffic_of,
    where_to_look,
)
from serving.databricks.smoke import Answered, try_endpoint
from serving.databricks.workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk.service.serving import ServingEndpointDetailed

POLL_S = 5.0
REPEAT_S = 60.0
"""A state that lasts is told again so often."""


class Overtaken(DeploymentError):
    """Somebody else changed the endpoint meanwhile; it is theirs now."""


class Outcome(NamedTuple):
    """What a deployment did."""

    action: str
    """created, updated, or unchanged."""
    answers: tuple[Answered, ...]
    """What the versions said to the article."""
    seconds: float
    """How long it took."""


class Deployment:
    """One attempt to bring an endpoint to what is wanted.

    Args:
        workspace: Where the endpoint is.
        wanted: What it should be.
        tell: Told what is going on, a line at a time.
        timeout_s: How long one configuration may take to come up.
        with_agents: Whether databricks-agents brings the champion there.
        poll_s: Pause between two looks.
    """

    def __init__(
        self,
        workspace: Workspace,
        wanted: Endpoint,
        tell: Callable[[str], None],
        *,
        timeout_s: float,
        with_agents: bool = False,
        poll_s: float = POLL_S,
    ) -> None:
        self._workspace, self._wanted, self._name = workspace, wanted, wanted.name
        self._tell, self._timeout_s, self._poll_s = tell, timeout_s, poll_s
        self._with_agents = with_agents
        self._sent: list[Request] = []

    def requests(self) -> list[Request]:
        """What would be sent now. Raises DeploymentError if that cannot be found out."""
        return planned(self._wanted, self._workspace.endpoint(self._name), with_agents=self._with_agents)

    def run(self, article: Mapping[str, str]) -> Outcome:
        """Send, wait, try; on failure, back to what was there.

        Args:
            article: Title, content and the category that every version must give it.

        Raises:
            DeploymentError: it failed. The message says what stands now.
        """
        started = time.monotonic()
        before = self._workspace.endpoint(self._name)
        if before and is_updating(before):
            self._tell(f"{self._name} is being updated; waiting for that first.")
            before = self._settled()
        requests = planned(self._wanted, before, with_agents=self._with_agents)
        with self._undone_on_failure(before):
            for request in requests:
                self._tell(f"{request.method} {request.path}")
                self._send(request)
                self._sent.append(request)
            self._check_up(self._settled(), changed=bool(requests))
            answers = try_endpoint(self._workspace, self._wanted, article, self._tell, self._poll_s)
        action = "unchanged" if not requests else "updated" if before else "created"
        return Outcome(action, answers, time.monotonic() - started)

    def _send(self, request: Request) -> None:
        if request.method == CALL:
            call_agents(request.body or {})
        else:
            self._workspace.send(request)

    @contextmanager
    def _undone_on_failure(self, before: "ServingEndpointDetailed | None") -> Iterator[None]:
        try:
            yield
        except Overtaken:
            raise
        except DeploymentError as problem:
            raise DeploymentError(f"{problem} {self._undo(before)}") from problem
        except (KeyboardInterrupt, SystemExit):
            self._tell(
                f"Interrupted. Databricks goes on with what {self._name} was told; {serving_sentence(before)} before. "
                "Run the same command again: it waits, tries the endpoint and finishes."
            )
            raise

    def _settled(self) -> "ServingEndpointDetailed":
        """The endpoint, once no update is in progress and it answers, or the update failed.

        Raises:
            DeploymentError: not in time, or the endpoint is gone.
        """
        started = told_at = time.monotonic()
        told = ""
        while True:
            found = self._workspace.endpoint_while_waiting(self._name)
            elapsed = time.monotonic() - started
            if found and not is_updating(found) and (is_ready(found) or has_failed(found)):
                return found
            state = state_sentence(found) if found else "Databricks does not answer"
            if state != told or time.monotonic() - told_at >= REPEAT_S:
                self._tell(f"{self._name}: {state} ({elapsed:.0f} s)")
                told, told_at = state, time.monotonic()
            if elapsed > self._timeout_s:
                raise DeploymentError(f"{self._name!r} was not ready within {self._timeout_s:g} s: {state}.")
            time.sleep(self._poll_s)

    def _check_up(self, found: "ServingEndpointDetailed", *, changed: bool) -> None:
        if not is_ready(found) or (changed and has_failed(found)):
            raise DeploymentError(f"{self._name!r} did not come up: {state_sentence(found)}.{where_to_look(found)}")
        if traffic_of(found) != self._wanted.traffic:
            raise Overtaken(
                f"{self._name!r} serves {shares(traffic_of(found))}, which somebody else asked for meanwhile, and is "
                "left as it is. Run the command again if they should not have."
            )

    def _undo(self, before: "ServingEndpointDetailed | None") -> str:
        """Bring back what was there; whatever comes of it, as sentences."""
        try:
            return self._remove() if before is None else self._restore(before)
        except DeploymentError as err:
            return f"Undoing it failed too: {err} Look at it: databricks serving-endpoints get {self._name}."
        except (KeyboardInterrupt, SystemExit):
            self._tell(
                f"Interrupted while {self._name} was brought back to what was there. Databricks goes on with that. "
                f"Look at it: databricks serving-endpoints get {self._name}."
            )
            raise

    def _remove(self) -> str:
        if not self._sent:
            return "This command created nothing."
        self._workspace.send(Request("DELETE", f"{ENDPOINTS}/{self._name}"))
        return "The endpoint, which this command had created, was deleted."

    def _restore(self, before: "ServingEndpointDetailed") -> str:
        found = self._workspace.endpoint(self._name)
        if found is None:
            return "The endpoint is gone: somebody deleted it."
        if not self._sent:
            return f"This command changed nothing: {serving_sentence(found)}."
        for request in gateway_requests(self._name, gateway_of(before), gateway_of(found)):
            self._workspace.send(request)
        if not any(request.method == CALL or request.path.endswith("/config") for request in self._sent):
            return f"AI Gateway is as it was before: {serving_sentence(found)}."
        if is_updating(found):
            return (
                f"Databricks takes no other update before that one ends, so nothing was reverted; "
                f"{serving_sentence(found)} until then. Run the same command again: it waits and tries the endpoint."
            )
        if traffic_of(before) and config_of(found) != config_of(before):
            self._tell(f"Reverting {self._name} to {shares(traffic_of(before))}.")
            self._workspace.send(config_request(self._name, config_of(before)))
            found = self._settled()
            if has_failed(found):
                return f"Reverting failed too: {state_sentence(found)}; {serving_sentence(found)}."
            return f"Reverted: {serving_sentence(found)} again."
        if not traffic_of(before):
            return "There was no configuration before that could be brought back."
        return f"Nothing had to be reverted: {serving_sentence(found)}."


def planned(wanted: Endpoint, found: "ServingEndpointDetailed | None", *, with_agents: bool) -> list[Request]:
    """What makes the wanted endpoint of what is there. Raises DeploymentError where it serves something else."""
    if not with_agents:
        return requests_for(wanted, found)
    if found:
        refuse_strangers(wanted, found)
    return [agents_request(wanted)] if found is None or traffic_of(found) != wanted.traffic else []
