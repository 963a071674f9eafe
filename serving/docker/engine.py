"""The Docker engine, and its refusals in words that say what to do next."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from agent.errors import DeploymentError
from agent.redaction import redact

QUIET_S = 900
"""How long the engine may say nothing, as while it installs packages."""
SHOWN_LINES = 8
"""Of a build or a container that failed."""


@contextmanager
def open_engine() -> Iterator[Any]:
    """The engine that DOCKER_HOST names, or the one of this machine.

    Raises:
        DeploymentError: none answers there, or it stopped answering.
    """
    where = os.environ.get("DOCKER_HOST") or "its usual socket"
    try:
        client = docker.from_env(timeout=QUIET_S)
    except (DockerException, ValueError) as err:
        raise DeploymentError(f"No Docker engine answers at {where}. Start one, or set DOCKER_HOST. ({err})") from err
    try:
        yield client
    except APIError as err:
        raise DeploymentError(f"The Docker engine refused: {err.explanation or err}.") from err
    except (DockerException, RequestException) as err:
        raise DeploymentError(f"The Docker engine at {where} stopped answering: {err}. Look at its log.") from err
    finally:
        client.close()


def last_lines(text: str) -> str:
    """The end of a log on one line and without secrets."""
    lines = [line.strip() for line in redact(text).splitlines() if line.strip()]
    return " | ".join(lines[-SHOWN_LINES:]) or "nothing"
