"""Lets schemathesis loose on the production server by its own description; run by `make schemathesis`.

schemathesis gets an environment of its own (uv keeps its packages), and so does openapi-spec-validator, which reads the
description first. The server is a real process with a local model and an API key.
"""

import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has folders of the same names

import yaml

from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.settings import read_settings
from eval.labeled_set import load_labeled_set
from serving.app.keys import make_key
from tests.serving.running import make_champion, serving
from training.config import TrainingConfig
from training.train import train

ROOT = Path(__file__).resolve().parent.parent
SCHEMATHESIS = "schemathesis>=4.32,<5"
VALIDATOR = "openapi-spec-validator>=0.8,<1"
ARTICLES = 640
OPTIONS = (
    *("--exclude-checks", "negative_data_rejection"),  # by one of ours: see tests/schemathesis_checks.py
    *("--continue-on-failure", "--no-color", "--request-timeout", "60"),
)


def trained(folder: Path) -> AgentConfig:
    """A small local model."""
    labels = read_settings(ROOT / "config" / "labels.yaml", LabelSet)
    articles = folder / "articles.jsonl"
    lines = (ROOT / "data" / "training_news.jsonl").read_text(encoding="utf-8").splitlines()[:ARTICLES]
    articles.write_text("\n".join(lines), encoding="utf-8")
    config = read_settings(ROOT / "config" / "training.yaml", TrainingConfig)
    train([load_labeled_set(articles, labels)], folder / "model", config, labels)
    return AgentConfig(
        name="local-sklearn",
        provider="sklearn",
        model="news-sklearn",
        track="local",
        labels=labels,
        artifact=folder / "model",
    )


def isolated(package: str, *command: str) -> int:
    """Exit code of a command of a package that this repository does not have."""
    run = ["uv", "run", "--no-project", "--isolated", "--python", sys.executable, "--with", package, *command]
    hooks = {"PYTHONPATH": str(ROOT / "tests"), "SCHEMATHESIS_HOOKS": "schemathesis_checks"}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(run, env={**os.environ, **hooks, "PATH": path}, check=False).returncode


def main(cases: str) -> int:
    """Exit code of what found something, or 0.

    Args:
        cases: How many are tried for each route in its last phase.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        key, digest = make_key()
        entry = {"name": "schemathesis", "sha256": digest, "requests_per_minute": 10_000_000}
        (folder / "serving.yaml").write_text(yaml.safe_dump({"api_keys": [entry]}), encoding="utf-8")
        environment = make_champion(folder, trained(folder))
        with serving(folder, environment, "app", "--settings", "serving.yaml", ready="/ready") as url:
            asked = urllib.request.Request(f"{url}/openapi.json", headers={"X-API-Key": key})
            with urllib.request.urlopen(asked) as answer:
                (folder / "openapi.json").write_bytes(answer.read())
            validated = isolated(VALIDATOR, "openapi-spec-validator", str(folder / "openapi.json"))
            header = f"Authorization: Bearer {key}"
            described = f"{url}/openapi.json"
            found = isolated(SCHEMATHESIS, "schemathesis", "run", described, "-H", header, "-n", cases, *OPTIONS)
        return validated or found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["100"]))
