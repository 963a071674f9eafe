"""A process that answers for another one: started as a script by `agent.isolation`, never imported.

Nothing but the standard library and MLflow is imported before what answers, so that `agent` here is the code that was
meant: a logged version's own, or the package of who started this. Speaks JSON lines: requests on standard input,
answers on what was standard output when it started. When the input ends, so does this process, whatever it is doing.
"""

import gc
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

Send = Callable[[dict[str, object]], None]


def main(kind: str, what: str) -> None:
    """Load what answers, say so, then answer one request a line."""
    gc.set_threshold(20_000)  # imports make much that stays; going through it again and again takes a tenth of a second
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the other one decides
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not stand between the answers
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=read, args=(requests,), daemon=True).start()

    def send(message: dict[str, object]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        agent, ready = load_version(what) if kind == "version" else load_candidate(Path(what), requests.get())
    except Exception as err:
        send({"failed": f"{type(err).__name__}: {err}"})
        return
    send(ready)
    while True:
        request = requests.get()
        try:
            if "pace" in request:
                classify(agent, request["articles"], request["pace"], send)
            else:
                send({"answer": agent.predict(request)})
        except Exception as err:
            send({"error": str(err), "type": type(err).__name__})


def read(requests: "SimpleQueue[dict[str, Any]]") -> None:
    """Take requests from standard input until it ends, be it in the middle of one."""
    try:
        for line in sys.stdin:
            requests.put(json.loads(line))
    finally:
        os._exit(0)  # who started this is gone; what was kept of its answers is on disk


def load_version(model_uri: str) -> tuple[Any, dict[str, object]]:
    """A logged version, and where it and its code lie."""
    import mlflow

    mlflow.tracing.disable()
    folder = Path(mlflow.artifacts.download_artifacts(model_uri)).resolve()
    model = mlflow.pyfunc.load_model(str(folder))
    code = Path(sys.modules["agent"].__file__ or "").resolve()
    if not code.is_relative_to(folder):
        raise RuntimeError(f"the code that was loaded is {code}, which is not the model's own")
    return model, {"code": str(code.parent), "model": str(folder)}


def load_candidate(package: Path, config: dict[str, Any]) -> tuple[Any, dict[str, object]]:
    """A candidate, with the code of the package that lies there."""
    sys.path.insert(0, str(package.parent))
    from agent.classifier import Classifier
    from agent.config import AgentConfig
    from agent.redaction import redact_logs

    redact_logs()
    return Classifier(AgentConfig.model_validate(config)), {"code": str(package)}


def classify(agent: Any, articles: list[dict[str, Any]], pace: dict[str, Any], send: Send) -> None:
    """Answer articles at a pace: a message for each as it comes, and one at the end."""
    from agent.budget import Budget
    from agent.journal import Journal
    from agent.providers import Pace
    from agent.records import Article
    from agent.slots import Slots

    if not hasattr(agent, "classify"):  # MLflow passes on no more of a model than predict
        agent = importlib.import_module("agent.responses_agent").NewsClassifierAgent.loaded
    slots = Slots(pace["concurrency"])
    budget = None if pace["max_usd"] is None else Budget(pace["max_usd"])
    journal = Journal(Path(pace["journal"])) if pace["journal"] else None
    own = Pace(pace["concurrency"], pace["patient"], pace["one_by_one"], slots, journal, pace["repeat"], budget)
    try:
        for index, record in agent.classify([Article(**article) for article in articles], own):
            paid = {"spent_usd": budget.spent_usd, "dearest_usd": budget.dearest_usd} if budget else {}
            send({"index": index, "record": record.model_dump(mode="json"), "in_flight": slots.in_use, **paid})
    finally:
        if journal:
            journal.close()
    send({"end": True, "spent_usd": budget.spent_usd if budget else 0.0, "is_spent": bool(budget and budget.is_spent)})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
