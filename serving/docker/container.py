"""A container of the image, run as it should be: two writable folders in memory, no rights, keys.

Whatever fails before it was tried removes it again.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from docker.errors import APIError, NotFound
from pydantic import SecretStr

from agent.errors import DeploymentError
from agent.failures import RetrySettings
from agent.transport import Timeouts
from serving.app.settings import KEYS_VARIABLE, ApiKey
from serving.docker.engine import last_lines
from serving.docker.healthcheck import PORT, is_ready
from serving.docker.image import LABEL, REPOSITORY, Image
from serving.golden import SMOKE_FILE, SmokeSet
from serving.invocations import Invocations
from serving.smoke import Check, smoke
from serving.target import open_target

PROVIDER_VARIABLES: Mapping[str, Sequence[str]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "databricks": ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
}
"""What a container is given of this environment, where it is set."""
USER = 10001
"""Of the Dockerfile."""
LIMITS: Mapping[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 512,
    "init": True,
}
IN_MEMORY = "rw,noexec,nosuid,nodev,size=256m"
PORT_TAKEN = ("port is already allocated", "address already in use")
POLL_S = 0.2


class Wanted(NamedTuple):
    """How a container should run."""

    address: str
    """Of this machine, where it is published."""
    port: int
    """Of this machine."""
    keys: tuple[ApiKey, ...]
    """Who may ask."""
    variables: tuple[str, ...] = ()
    """Further variables of this environment that it is given."""
    state: str | None = None
    """A volume for what should outlive it; kept in memory unless given."""

    @property
    def name(self) -> str:
        """Of the container; one for each port."""
        return f"{REPOSITORY}-{self.port}"

    @property
    def url(self) -> str:
        """Where it is asked from this machine."""
        return f"http://{self.reachable}:{self.port}"

    @property
    def reachable(self) -> str:
        """An address of this machine that the container answers at."""
        return "127.0.0.1" if self.address == "0.0.0.0" else self.address


class Running(NamedTuple):
    """A container that was tried and answers."""

    id: str
    name: str
    url: str
    ready_s: float
    checks: tuple[Check, ...]
    """What the smoke test found."""
    key: str | None
    """A key made for this container, where nobody else had one."""


def run(client: Any, image: Image, wanted: Wanted, *, timeout_s: float, tell: Callable[[str], None]) -> Running:
    """Start a container and try it.

    Args:
        client: The engine.
        image: What it is made of.
        wanted: How it runs.
        timeout_s: How long it may take to become ready.
        tell: Told what is going on.

    Raises:
        DeploymentError: the port is in use, or it died, did not become ready or gave a wrong answer; it was removed.
    """
    remove_stopped(client, wanted)
    key = secrets.token_urlsafe(32)
    with removed_on_failure(client, image, wanted, key) as container:
        tell(f"Started {wanted.name} of {image.tag}.")
        ready_s = wait_until_ready(container, wanted, timeout_s)
        if container.exec_run(["python", "-m", "serving.docker.healthcheck"]).exit_code:
            raise DeploymentError(
                f"The health check inside {wanted.name} fails. Look at serving/docker/healthcheck.py."
            )
        checks = tried(wanted, key, image.label("version"))
    return Running(container.id, wanted.name, wanted.url, ready_s, checks, None if wanted.keys else key)


def remove_stopped(client: Any, wanted: Wanted) -> None:
    """Make room for a container of this name. Raises DeploymentError where one runs, or it is somebody else's."""
    try:
        found = client.containers.get(wanted.name)
    except NotFound:
        return
    if found.status in ("created", "exited", "dead") and LABEL + "version" in found.labels:
        found.remove()
        return
    raise DeploymentError(
        f"The container {wanted.name} is {found.status} already. End it with 'docker rm -f {wanted.name}', or choose "
        "another --port."
    )


@contextmanager
def removed_on_failure(client: Any, image: Image, wanted: Wanted, key: str) -> Iterator[Any]:
    """A started container, which is removed again if what is done with it fails."""
    container = client.containers.create(
        image.id,
        name=wanted.name,
        environment=environment(image.label("provider"), wanted, key),
        ports={f"{PORT}/tcp": (wanted.address, wanted.port)},
        tmpfs=folders_in_memory(wanted),
        volumes={wanted.state: {"bind": "/state", "mode": "rw"}} if wanted.state else {},
        **LIMITS,
    )
    try:
        start(container, wanted)
        yield container
    except BaseException:
        container.remove(force=True)
        raise


def start(container: Any, wanted: Wanted) -> None:
    """Start a container. Raises DeploymentError where its port is in use."""
    try:
        container.start()
    except APIError as err:
        if any(words in str(err.explanation) for words in PORT_TAKEN):
            raise DeploymentError(
                f"Port {wanted.port} of {wanted.address} is in use. Choose another --port, or end what uses it."
            ) from err
        raise


def environment(provider: str, wanted: Wanted, key: str) -> dict[str, str]:
    """What a container finds in its environment: who may ask, whoever deploys among them, and its provider's keys.

    Raises:
        DeploymentError: a variable that was asked for is not set.
    """
    missing = [name for name in wanted.variables if name not in os.environ]
    if missing:
        raise DeploymentError(
            f"{', '.join(missing)} is not set, so --env cannot pass it on. Set it in the environment."
        )
    names = (*PROVIDER_VARIABLES.get(provider, ()), *wanted.variables)
    deployer = f"deployment:{hashlib.sha256(key.encode()).hexdigest()}"
    return {name: os.environ[name] for name in names if os.environ.get(name)} | {
        KEYS_VARIABLE: " ".join((*map(key_words, wanted.keys), deployer))
    }


def key_words(key: ApiKey) -> str:
    """A key as the server's environment has it."""
    return f"{key.name}:{key.sha256}:{key.requests_per_minute}"


def folders_in_memory(wanted: Wanted) -> dict[str, str]:
    """The folders that can be written, all else being read-only."""
    state = {} if wanted.state else {"/state": f"{IN_MEMORY},mode=0700,uid={USER},gid={USER}"}
    return {"/tmp": f"{IN_MEMORY},mode=1777", **state}


def wait_until_ready(container: Any, wanted: Wanted, timeout_s: float) -> float:
    """Seconds until it was ready. Raises DeploymentError with its last lines where it dies or takes too long."""
    started = time.monotonic()
    while (waited := time.monotonic() - started) < timeout_s:
        container.reload()
        if container.status != "running":
            code = container.attrs["State"]["ExitCode"]
            raise DeploymentError(f"{wanted.name} ended with exit code {code}. It last said: {logs(container)}.")
        if is_ready(wanted.port, wanted.reachable):
            return waited
        time.sleep(POLL_S)
    raise DeploymentError(
        f"{wanted.name} was not ready after {timeout_s:.0f} s and was removed. It last said: {logs(container)}."
    )


def logs(container: Any) -> str:
    """The last lines of a container on one line."""
    return last_lines(container.logs(tail=50).decode(errors="replace"))


def tried(wanted: Wanted, key: str, version: str) -> tuple[Check, ...]:
    """What the smoke test finds when it asks the published port.

    Raises:
        DeploymentError: an answer is not what every version says, or another version gave it.
        ServiceError: there is no answer.
    """
    server = Invocations(open_target(wanted.url, SecretStr(key)), Timeouts(), RetrySettings())
    result = smoke(server, SmokeSet.from_file(SMOKE_FILE), expected_version=version or None)
    failed = [f"{check.name}: {check.detail}" for check in result.checks if not check.passed]
    if failed:
        raise DeploymentError(
            f"{wanted.name} failed the smoke test and was removed; {'; '.join(failed)}. Look at the model with: "
            "news-classifier classify."
        )
    return result.checks
