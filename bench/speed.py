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
from collections.abc import Callable
from pathlib import Path
from statistics import median

import mlflow
from rich.console import Console
from rich.table import Table

from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.local_model import load_local_model
from agent.settings import read_settings
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
LIMIT = 1.3


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turn(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action, all of them run once a round."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 1):
        for name, action in actions.items():
            times[name].append(timed(action))
    return {name: median(values[1:]) for name, values in times.items()}


def load_seconds(model_uri: str, folder: str) -> float:
    """Seconds of `load_model` in a new process that has imported mlflow."""
    command = [sys.executable, "-P", "-c", LOAD_TIME, model_uri]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=Path("models/local-sklearn"))
    parser.add_argument("--data", type=Path, default=Path("data/labeled_news.jsonl"))
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    labels = read_settings(Path("config/labels.yaml"), LabelSet)
    rows = load_labeled_set(options.data, labels).rows
    articles = [rows[n % len(rows)].article.model_dump() for n in range(BATCH)]
    texts = [article_text(article["title"], article["content"]) for article in articles]
    models = load_local_model(options.model).tasks.values()
    config = AgentConfig.from_file(Path("config/agents/local-sklearn.yaml"))
    config = config.model_copy(update={"artifact": options.model.resolve()})

    with tempfile.TemporaryDirectory() as scratch:
        mlflow.set_tracking_uri(f"sqlite:///{scratch}/mlflow.db")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("speed", artifact_location=f"{scratch}/artifacts"))
        empty_file = Path(scratch) / "empty.py"
        empty_file.write_text(EMPTY_AGENT, encoding="utf-8")
        with mlflow.start_run():
            agent_uri = log_agent(config).model_uri
            empty_uri = mlflow.pyfunc.log_model(
                name="empty", python_model=str(empty_file), pip_requirements=[]
            ).model_uri
        mlflow.tracing.disable()
        agent, empty = mlflow.pyfunc.load_model(agent_uri), mlflow.pyfunc.load_model(empty_uri)
        addresses = [(uri, mlflow.artifacts.download_artifacts(uri)) for uri in (agent_uri, empty_uri)]
        loads = [[median(load_seconds(way, scratch) for _ in range(5)) for way in ways] for ways in addresses]

        table = Table(title="One core, untraced, medians", title_justify="left")
        for column in ("articles a call", "empty agent, ms", "bare models, ms", "agent, ms", "agent / (empty + bare)"):
            table.add_column(column, justify="right")
        ratios = {}
        speed = 0.0
        for size, rounds in ((1, 300), (BATCH, 15)):
            request = {"input": [], "custom_inputs": {"articles": articles[:size]}}
            given = texts[:size]
            found = in_turn(
                {
                    "empty": lambda request=request: empty.predict(request),
                    "bare": lambda given=given: [model.predict_proba(given) for model in models],
                    "agent": lambda request=request: agent.predict(request),
                },
                rounds,
            )
            ratios[size] = found["agent"] / (found["empty"] + found["bare"])
            speed = size / found["agent"]
            cells = [f"{1000 * found[name]:.2f}" for name in ("empty", "bare", "agent")]
            table.add_row(str(size), *cells, f"{ratios[size]:.2f}")
    Console().print(table)
    (by_uri, from_folder), (empty_by_uri, empty_from_folder) = loads
    for way, ours, theirs in (("a folder", from_folder, empty_from_folder), ("a models:/ URI", by_uri, empty_by_uri)):
        print(f"load_model after import mlflow, from {way}: {ours:.2f} s; of an empty agent: {theirs:.2f} s")
    characters = sum(map(len, texts)) / BATCH
    print(f"articles/s, {BATCH} a call, {characters:.0f} characters each: {speed:,.0f} (at least 3,000)")
    figures = {
        "ratios": ratios,
        "load_model_s": {"folder": from_folder, "uri": by_uri},
        "empty_load_model_s": {"folder": empty_from_folder, "uri": empty_by_uri},
        "articles_per_s": speed,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
