"""Hashes that say which code and which configuration answered."""

import hashlib
import json
from pathlib import Path

from agent.config import AgentConfig

PACKAGE = Path(__file__).resolve().parent
"""Folder of the `agent` package that is running."""


def code_hash(package: Path = PACKAGE) -> str:
    """sha256 over the names and contents of the package's Python files."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def config_hash(config: AgentConfig) -> str:
    """sha256 of what decides the labels: not of paths, names, notes, prices, waits, or a prompt's number."""
    settings = config.to_model_config()
    for name in ("name", "note", "tier", "price", "timeouts", "retries", "max_concurrency", "max_usd"):
        del settings[name]
    if isinstance(prompt := settings["prompt"], dict):
        del prompt["version"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
