"""Makes the passwords and keys that compose.yaml asks for, once; `make stack` runs it."""

import hashlib
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PASSWORDS = ("DATABASE_PASSWORD", "ARTIFACTS_ACCESS_KEY", "ARTIFACTS_SECRET_KEY")
API_KEYS = "NEWS_CLASSIFIER_API_KEYS"


def make_secrets(folder: Path = FOLDER) -> str | None:
    """Write `.env` and `keys/metrics` into a folder, unless they are there.

    Returns:
        The key to ask the server with, which is kept nowhere; None if everything was there already.
    """
    environment, metrics = folder / ".env", folder / "keys" / "metrics"
    if environment.exists() and metrics.exists():
        return None
    keys = {name: secrets.token_urlsafe(32) for name in ("you", "metrics")}
    metrics.parent.mkdir(mode=0o700, exist_ok=True)
    write(metrics, keys["metrics"], 0o644)  # the container's user has to read it; the folder keeps others away
    words = " ".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys.items())
    lines = [*(f"{name}={secrets.token_hex(24)}" for name in PASSWORDS), f'{API_KEYS}="{words}"']
    write(environment, "\n".join(lines) + "\n", 0o600)
    return keys["you"]


def write(path: Path, text: str, mode: int) -> None:
    """Write a file that nobody could read before it had its rights."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    made = make_secrets()
    if made:
        sys.stdout.write(f"Your API key, shown this once: {made}\n")
