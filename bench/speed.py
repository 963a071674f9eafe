"""How much the agent costs above its pipelines, how fast it loads, and how many articles a second it reads.

    python bench/speed.py [--model models/local-sklearn] [--data data/labeled_news.jsonl]

One core, untraced. What is compared is measured in turn in one process, so that a noisy machine troubles both alike.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import mlflow
from figures import print_table
from surroundings import LOCAL_MODEL, ROOT

from agent.config import AgentConfig
from agent.local_model import load_local_model
from agent.text_features import article_text
from eval.labeled_set import load_labeled_set
from eval.logged_model import log_agent

EMPTY_AGENT = """
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse


class Empty(ResponsesAgent):
    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        return ResponsesAgentResponse(output=[self.create_text_output_item(text="", id="msg_1")])


set_model(Empty())
"""
LOAD_TIME = """
import sys, mlflow, time
started = time.perf_counter()
mlflow.pyfunc.load_model(sys.argv[1])
print(time.perf_counter() - started)
"""
BATCH = 1000
ROUNDS = {1: 300, BATCH: 15}
"""How often calls with so many articles are made."""
LOADS = 5
"""How often each agent is loaded in each way."""
LEAST_PER_S = 3000


class Agents(NamedTuple):
    """Addresses of logged agents."""

    ours: str
    empty: str


class CallTimes(NamedTuple):
    """Median seconds of one call."""

    empty_s: float
    bare_s: float
    """Of the models without an agent around them."""
    agent_s: float

    @property
    def ratio(self) -> float:
        """The agent's as a multiple of what it cannot do without."""
        return self.agent_s / (self.empty_s + self.bare_s)


class LoadTimes(NamedTuple):
    """Median seconds of `load_model` in a new process that has imported mlflow."""

    uri: float
    folder: float


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turn(actions: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each action, all of them run once a round; the first round does not count."""
    times = [[timed(action) for action in actions] for _ in range(rounds + 1)]
    return [median(each) for each in zip(*times[1:], strict=True)]


def logged(config: AgentConfig, folder: Path) -> Agents:
    """Log the agent and an empty one in a store in a folder."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("speed", artifact_location=f"{folder}/artifacts"))
    empty = folder / "empty.py"
    empty.write_text(EMPTY_AGENT, encoding="utf-8")
    with mlflow.start_run():
        ours_uri = log_agent(config).model_uri
        empty_uri = mlflow.pyfunc.log_model(name="empty", python_model=str(empty), pip_requirements=[]).model_uri
    return Agents(ours_uri, empty_uri)


def load_s(model_uri: str, store: str) -> float:
    """Seconds of one `load_model`."""
    command = [sys.executable, "-P", "-c", LOAD_TIME, model_uri]
    environment = os.environ | {"MLFLOW_TRACKING_URI": store}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def load_times(model_uri: str) -> LoadTimes:
    """How long an agent takes to load, by its address and from a folder."""
    store = mlflow.get_tracking_uri()
    ways = (model_uri, mlflow.artifacts.download_artifacts(model_uri))
    return LoadTimes(*(median(load_s(way, store) for _ in range(LOADS)) for way in ways))


def call_times(agents: Agents, model: Path, articles: Sequence[Mapping[str, Any]]) -> dict[int, CallTimes]:
    """How long calls take, by the number of articles in them."""
    agent, empty = mlflow.pyfunc.load_model(agents.ours), mlflow.pyfunc.load_model(agents.empty)
    models = load_local_model(model).tasks.values()

    def call_models(texts: Sequence[str]) -> None:
        for each in models:
            each.predict_proba(texts)

    found = {}
    for size, rounds in ROUNDS.items():
        request = {"input": [], "custom_inputs": {"articles": articles[:size]}}
        texts = [text_of(article) for article in articles[:size]]
        actions = (partial(empty.predict, request), partial(call_models, texts), partial(agent.predict, request))
        found[size] = CallTimes(*in_turn(actions, rounds))
    return found


def text_of(article: Mapping[str, Any]) -> str:
    """What the models read of an article."""
    return article_text(article["title"], article["content"])


def show(calls: Mapping[int, CallTimes], ours: LoadTimes, empty: LoadTimes, characters: float) -> None:
    """Print everything, and once more for machines."""
    columns = ("articles a call", "empty agent, ms", "bare models, ms", "agent, ms", "agent / (empty + bare)")
    rows = []
    for size, found in calls.items():
        rows.append((str(size), *(f"{1000 * seconds:.2f}" for seconds in found), f"{found.ratio:.2f}"))
    print_table("One core, untraced, medians", columns, rows)
    for way, mine, other in (("a folder", ours.folder, empty.folder), ("a models:/ URI", ours.uri, empty.uri)):
        print(f"load_model after import mlflow, from {way}: {mine:.2f} s; of an empty agent: {other:.2f} s")
    per_s = BATCH / calls[BATCH].agent_s
    print(f"articles/s, {BATCH} a call, {characters:.0f} characters each: {per_s:,.0f} (at least {LEAST_PER_S:,})")
    figures = {
        "ratios": {size: found.ratio for size, found in calls.items()},
        "load_model_s": ours._asdict(),
        "empty_load_model_s": empty._asdict(),
        "articles_per_s": per_s,
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=LOCAL_MODEL)
    parser.add_argument("--data", type=Path, default=ROOT / "data/labeled_news.jsonl")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    config = AgentConfig.from_file(ROOT / "config/agents/local-sklearn.yaml")
    config = config.model_copy(update={"artifact": options.model.resolve()})
    rows = load_labeled_set(options.data, config.labels).rows
    articles = [rows[n % len(rows)].article.model_dump() for n in range(BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        agents = logged(config, Path(folder))
        mlflow.tracing.disable()
        ours, empty = map(load_times, agents)
        calls = call_times(agents, options.model, articles)
    show(calls, ours, empty, sum(len(text_of(article)) for article in articles) / BATCH)


if __name__ == "__main__":
    main()
