"""The server as a Databricks app: `python -m serving.databricks.app`, the command of the app in databricks.yml.

Databricks signs in who asks before a request arrives, so there are no keys of ours. What an app writes is gone when it
is deployed again, so no predictions are kept but by MLflow.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.errors import ConfigError, NewsClassifierError
from agent.settings import read_yaml
from serving.app.settings import SETTINGS_FILE

PORT = "DATABRICKS_APP_PORT"
SHUTDOWN_S = 12.0
"""Databricks kills an app 15 s after it was told to stop."""
ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path) -> list[str]:
    """The server's command.

    Args:
        folder: For what it keeps while it runs, and for its settings.

    Raises:
        ConfigError: this is no Databricks app, or the settings cannot be read.
    """
    port = os.environ.get(PORT)
    if not port:
        raise ConfigError(f"{PORT} is not set, so this is no Databricks app. Elsewhere: news-classifier serve app.")
    settings = folder / "serving.yaml"
    found = read_yaml(SETTINGS_FILE) if SETTINGS_FILE.exists() else {}
    settings.write_text(yaml.safe_dump(app_settings(found)), encoding="utf-8")
    words = ["--host", "0.0.0.0", "--port", port, "--no-keys", "--state", str(folder), "--settings", str(settings)]
    return [sys.executable, "-m", "serving.app", *words]


def app_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The server's settings as they fit an app: nothing kept on its disk, and an end in time."""
    limits = {**(settings.get("limits") or {}), "shutdown_s": SHUTDOWN_S}
    predictions = settings.get("predictions") or {}
    if predictions.get("sink") != "mlflow":
        predictions = {**predictions, "sink": "none"}
    return {**settings, "limits": limits, "predictions": predictions}


def main() -> None:
    """Become the server."""
    try:
        words = command(Path(tempfile.mkdtemp(prefix="news-classifier-")))
    except NewsClassifierError as err:
        sys.stderr.write(f"Error: {err}\n")
        sys.exit(err.exit_code)
    os.execve(words[0], words, os.environ | {"PYTHONPATH": str(ROOT)})  # where nothing is installed, workers need it


if __name__ == "__main__":
    main()
