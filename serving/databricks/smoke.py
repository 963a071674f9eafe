"""Asks a new deployment about one article that nobody disputes: the endpoint, and each of several versions."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agent.errors import DeploymentError
from serving.databricks.endpoint import Endpoint
from serving.databricks.workspace import Workspace, passes

ATTEMPTS = 3
"""Of what the SDK does not repeat by itself, as it does where the endpoint is busy or waking up (429, 503)."""


class Answered(NamedTuple):
    """One answer to the article."""

    path: str
    """Where it was asked."""
    category: str
    """What the answer said."""
    latency_ms: float
    """How long it took, waking up included."""


def try_endpoint(
    workspace: Workspace, wanted: Endpoint, article: Mapping[str, str], tell: Callable[[str], None], pause_s: float
) -> tuple[Answered, ...]:
    """Ask the endpoint and, where traffic is split, every version by its own address.

    Raises:
        DeploymentError: one gave no answer, or another category than the article has.
    """
    whole = f"/serving-endpoints/{wanted.name}"
    apart = [f"{whole}/served-models/{entity.name}" for entity in wanted.entities] if len(wanted.entities) > 1 else []
    answers = []
    for place in (whole, *apart):
        tell(f"Trying {place}/invocations")
        answered = ask(workspace, f"{place}/invocations", article, pause_s)
        tell(f"{answered.path}: {answered.category} in {answered.latency_ms:.0f} ms")
        answers.append(answered)
    return tuple(answers)


def ask(workspace: Workspace, path: str, article: Mapping[str, str], pause_s: float) -> Answered:
    """One answer, after waiting out what passes by itself. Raises DeploymentError."""
    question = {"input": [], "custom_inputs": {"title": article["title"], "content": article["content"]}}
    for attempt in range(1, ATTEMPTS + 1):
        started = time.monotonic()
        try:
            answer = workspace.ask(path, question)
        except Exception as err:
            if attempt < ATTEMPTS and passes(err):
                time.sleep(pause_s)
                continue
            raise DeploymentError(f"{path} gave no answer to the smoke test: {str(err).rstrip('.')}.") from err
        latency_ms = (time.monotonic() - started) * 1000
        return Answered(path, checked_category(path, answer, article["category"]), latency_ms)
    raise AssertionError("unreachable")


def checked_category(path: str, answer: Any, expected: str) -> str:
    """The category of the one record in an answer. Raises DeploymentError where it is not what is expected."""
    try:
        [record] = answer["custom_outputs"]["classifications"]
        category, problem = record["category"], record.get("error")
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise DeploymentError(f"{path} answered the smoke test with {str(answer)[:200]!r}, no classification.") from err
    if problem:
        raise DeploymentError(f"{path} could not classify the smoke test's article: {problem.get('message')}.")
    if category != expected:
        raise DeploymentError(f"{path} calls the smoke test's article {category!r}, and not {expected!r}.")
    return str(category)
