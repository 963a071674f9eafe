"""Where a server listens, and the folder that it keeps things in."""

import fcntl
import os
import socket
from pathlib import Path
from typing import NamedTuple

from agent.errors import ConfigError
from serving.app.settings import ServingSettings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
BACKLOG = 2048
LOCK_FILE = "server.lock"


class Place(NamedTuple):
    """Where the server listens and what it keeps."""

    host: str
    port: int
    workers: int
    """Processes of each version."""
    state: Path
    """Folder of the prediction log, the shares and keys."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        return self.host in LOOPBACK_NAMES

    @property
    def url(self) -> str:
        """What it is asked at on this machine."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def check(self, settings: ServingSettings, *, without_keys: bool) -> None:
        """Refuse to be open to everybody by mistake.

        Raises:
            ConfigError: others than this machine can ask, and no key is needed.
        """
        if not self.is_local and not settings.api_keys and not without_keys:
            raise ConfigError(
                f"On {self.host!r} everybody who reaches this machine could ask. Make a key with 'news-classifier "
                "serve key NAME' and put it into config/serving.yaml, or say --no-keys where others check who asks."
            )

    def claim(self) -> None:
        """Make the state folder, which is its owner's alone, and this server's until the process ends in whatever way.

        Raises:
            ConfigError: it cannot be made, or another server has it.
        """
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.state / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)  # workers do not inherit it
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ConfigError(
                f"The state folder {str(self.state)!r} is that of a running server. Give another --state, or end that."
            ) from err
        except OSError as err:
            raise ConfigError(
                f"The state folder {str(self.state)!r} cannot be made: {err.strerror}. Give another --state."
            ) from err

    def listen(self) -> socket.socket:
        """Listen before anything is started, so that a second server on the same port disturbs nothing.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        return listen(self.host, self.port, "--port or --host")


def listen(host: str, port: int, options: str) -> socket.socket:
    """Listen at an address.

    Args:
        host: Name or address of this machine.
        port: Port there.
        options: What a person may choose otherwise, such as "--port".

    Raises:
        ConfigError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as err:
        raise ConfigError(f"{host}:{port} cannot be listened on: {err.strerror}. Choose another {options}.") from err
