"""Whether the server in this container is ready; the image's HEALTHCHECK, so it imports nothing that takes time."""

import http.client
import sys

PORT = 8000
"""Of the server inside the container, wherever it is published."""
TIMEOUT_S = 4.0


def is_ready(port: int = PORT, host: str = "127.0.0.1") -> bool:
    """Whether the server says that it is ready. Asks past any proxy of the environment."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready() else 1)
