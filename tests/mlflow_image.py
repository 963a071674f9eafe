"""Proves that MLflow's own image of the champion answers; run by `make docker-mlflow`. Takes minutes and 1.2 GB.

The store is the one that the environment names, with a champion in it.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has folders of the same names

from agent.champion import CHAMPION, registered_model_name
from agent.errors import DeploymentError
from eval.store import open_store
from serving.docker.engine import open_engine

IMAGE = "news-classifier-mlflow-models"
START_TIMEOUT_S = 120
REQUEST = {
    "input": [],
    "custom_inputs": {
        "title": "Rowers win gold on home water",
        "content": "The city's four beat the champions by a second.",
    },
}
EXPECTED = "Sports"


def check_engine() -> None:
    """End with one line where no engine answers, before anything is built."""
    try:
        with open_engine():
            pass
    except DeploymentError as err:
        raise SystemExit(f"Error: {err}") from err


def docker(*words: str) -> str:
    """What a command of the engine prints."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def build() -> None:
    """Have MLflow build the image."""
    store = open_store()
    uri = f"models:/{registered_model_name()}@{CHAMPION}"
    command = ["-m", "mlflow", "models", "build-docker", "--env-manager", "local", "--model-uri", uri, "--name", IMAGE]
    addresses = {"MLFLOW_TRACKING_URI": store.tracking_uri, "MLFLOW_REGISTRY_URI": store.registry_uri}
    subprocess.run([sys.executable, *command], check=True, env=os.environ | addresses)


def wait_for(url: str) -> None:
    """Wait until the server in the container answers. Raises TimeoutError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/ping"):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer")


def main() -> None:
    """Build, run, ask, and remove the container."""
    check_engine()
    started = time.monotonic()
    build()
    built_s = time.monotonic() - started
    container = docker("run", "--detach", "--publish", "127.0.0.1::8080", IMAGE)
    try:
        url = f"http://{docker('port', container, '8080/tcp').splitlines()[0]}"
        wait_for(url)
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/invocations", json.dumps(REQUEST).encode(), headers)
        with urllib.request.urlopen(request) as response:
            [record] = json.load(response)["custom_outputs"]["classifications"]
        if record["category"] != EXPECTED:
            raise SystemExit(f"{IMAGE} answers {record['category']!r} instead of {EXPECTED!r}")
    except BaseException:
        sys.stderr.write(docker("logs", "--tail", "20", container) + "\n")
        raise
    finally:
        docker("rm", "--force", container)
    size_mb = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE)) // 1_000_000
    sys.stdout.write(f"{IMAGE} answers {EXPECTED}: built in {built_s:.0f} s, {size_mb} MB\n")


if __name__ == "__main__":
    main()
