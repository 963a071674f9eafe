"""What the measured servers serve and are asked: versions in a store of their own, and the bodies of requests."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml
from llm_clients import questions
from surroundings import NO_SERVICE, ROOT, Json, copy_configuration, environment_for

from agent.champion import CHAMPION, MODEL_NAME
from agent.config import AgentConfig
from agent.records import Article
from eval.candidates import named_candidate
from eval.store import open_store
from tests.serving.running import add_version, point

CHAMPION_URI = f"models:/{MODEL_NAME}@{CHAMPION}"
ARTICLES = 400
BATCH = 256
SMOKE = {
    "most_misses": 2,  # the stand-in for an LLM knows no news
    "articles": [{"id": "cup", "title": "Club wins the cup final", "content": "Fans sang.", "category": "Sports"}],
}


def llm_agent() -> AgentConfig:
    """A candidate that asks an LLM."""
    return named_candidate("openai", None)


def local_agent(model: Path) -> AgentConfig:
    """The local candidate, with the trained model of a folder. Exits where there is none."""
    if not model.is_dir():
        sys.exit(f"There is no model in {model}. Run news-classifier train, or give --model.")
    return named_candidate("sklearn", None).model_copy(update={"artifact": model})


def new_store(folder: Path, address: str = NO_SERVICE) -> dict[str, str]:
    """Make a folder with the shipped configuration and an empty store the one that this process works in.

    Args:
        folder: An empty one.
        address: Of what stands for all LLM services.

    Returns: The environment of processes that work there, too.
    """
    copy_configuration(folder)
    (folder / "smoke.yaml").write_text(yaml.safe_dump(SMOKE))
    os.chdir(folder)
    store = f"sqlite:///{folder}/mlflow.db"
    found = environment_for(address) | {"MLFLOW_TRACKING_URI": store, "MLFLOW_REGISTRY_URI": store}
    os.environ |= found
    open_store()
    return found


def add_champion(agent: AgentConfig) -> str:
    """Register a version and make it the champion. Returns its number."""
    number: str = add_version(agent)
    point(CHAMPION, number)
    return number


def articles() -> list[Json]:
    """What is asked."""
    with (ROOT / "data/labeled_news.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [{field: rows[n % len(rows)][field] for field in ("title", "content")} for n in range(ARTICLES)]


def write_bodies(folder: Path) -> dict[str, Path]:
    """Files with one body a line: requests to the server, to the agent, and to the LLM's service."""
    single, batch = articles(), articles()[:BATCH]
    kinds: dict[str, Iterable[Json]] = {
        "plain": single,
        "batch": [{"articles": batch}],
        "mixed": [*single, {"articles": batch}],
        "agent": [{"input": [], "custom_inputs": article} for article in single],
        "agent batch": [{"input": [], "custom_inputs": {"articles": batch}}],
        "llm": questions([Article(**article) for article in single]),
    }
    found = {}
    for name, bodies in kinds.items():
        found[name] = folder / f"{name.replace(' ', '-')}.jsonl"
        found[name].write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    return found
