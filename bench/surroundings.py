"""What everything here is measured in: folders with the shipped configuration, articles, and no service but ours."""

import json
import os
import shutil
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCAL_MODEL = ROOT / "models/local-sklearn"
KEY = "sk-echo"
NO_SERVICE = "127.0.0.1:9"
"""An address at which nobody answers."""
CLEARED = ("OPENAI_", "ANTHROPIC_", "DATABRICKS_", "MLFLOW_")
Json = dict[str, Any]


def news_classifier(*words: str) -> list[str]:
    """The command line of one of the product's commands."""
    return [str(Path(sys.executable).with_name("news-classifier")), *words]


def copy_configuration(folder: Path) -> None:
    """Give a folder the shipped configuration, without keys."""
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns(".env"))


def write_articles(path: Path, number: int) -> None:
    """So many labelled articles of the training set, under new ids; from the start again when it has no more."""
    with (ROOT / "data/training_news.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with path.open("w", encoding="utf-8") as file:
        for n, row in enumerate(islice(cycle(rows), number)):
            file.write(json.dumps({**row, "id": f"bench-{n:06}"}) + "\n")


def environment_for(address: str) -> dict[str, str]:
    """This environment, with a service in place of all others: no proxy, no key, no store, nothing reported home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(CLEARED) and not name.lower().endswith("_proxy")
    }
    return kept | {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://{address}/v1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": f"http://{address}",
        "DATABRICKS_HOST": f"http://{address}",
        "DATABRICKS_TOKEN": KEY,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def quiet_mlflow() -> None:
    """Let MLflow trace nothing, and let it report nothing and print no addresses, here and in what is started."""
    import mlflow  # takes seconds, which not everything here needs

    mlflow.tracing.disable()
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
