"""A process that serves one model version: started by `serving.app.process`, never imported by it.

Nothing of ours but `frames` and `answerers` is imported before the version is loaded, so that `agent` here is the
version's own code. Little of it is needed, so that versions of another age can be served: `NewsClassifierAgent.loaded`,
its `config`, `classify` and, where there is one, `classifier.answer`.

Messages are JSON. In: {"load": FOLDER, "concurrency"}, then {"id", "articles"}, {"cancel": ID}, {"ping": true}.
Out: {"ready": FACTS} or {"failed"}, then {"id", "answers": [[index, record], ...], "end"}, {"id", "failed"}, {"pong",
"down"}.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from serving.app.answerers import answerer, failed
from serving.app.frames import LENGTH_BYTES, Frames, framed

READ_BYTES = 65536


def main(descriptor: int) -> None:
    """Load a version, say so, and answer until the other end is gone."""
    gc.set_threshold(20_000)  # imports make much that stays; going through it again and again takes time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the server decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(2, 1)
    connection = socket.socket(fileno=descriptor)
    import mlflow.pyfunc
    import mlflow.types.responses  # noqa: F401 - takes its time while the server finds out what is to be loaded

    order = first_message(connection)
    if order is None:
        return
    try:
        agent, found = load(Path(order["load"]), order["concurrency"])
    except Exception as err:
        say(connection, {"failed": f"{type(err).__name__}: {err}"})
        return
    say(connection, {"ready": found})
    gc.collect()
    gc.freeze()
    uvloop.run(serve(connection, agent))


def say(connection: socket.socket, message: dict[str, object]) -> None:
    """Send a message before the loop runs; what nobody wants to know any more is lost."""
    with contextlib.suppress(OSError):
        connection.sendall(framed(json.dumps(message).encode()))


def first_message(connection: socket.socket) -> dict[str, Any] | None:
    """The first message, waited for; None if the other end is gone."""
    received = b""
    while len(received) < LENGTH_BYTES or len(received) < LENGTH_BYTES + int.from_bytes(received[:LENGTH_BYTES], "big"):
        part = connection.recv(READ_BYTES)
        if not part:
            return None
        received += part
    message: dict[str, Any] = json.loads(received[LENGTH_BYTES:])
    return message


def load(folder: Path, concurrency: int) -> tuple[Any, dict[str, object]]:
    """The agent of a logged version, and what is to be known about it."""
    import mlflow

    mlflow.tracing.disable()
    mlflow.pyfunc.load_model(str(folder), model_config={"max_concurrency": concurrency})
    code = Path(sys.modules["agent"].__file__ or "").resolve()
    if not code.is_relative_to(folder.resolve()):
        raise RuntimeError(f"the code that was loaded is {code}, which is not the model's own")
    agent = importlib.import_module("agent.responses_agent").NewsClassifierAgent.loaded
    if hasattr(agent.classifier, "open"):
        agent.classifier.open()  # a missing key is found now
    code_hash = importlib.import_module("agent.fingerprint").code_hash()
    return agent, {"provider": agent.config.provider, "model": agent.config.model, "code": code_hash}


async def serve(connection: socket.socket, agent: Any) -> None:
    """Answer messages until the other end is gone."""
    gone = asyncio.Event()

    def receive(frame: bytes) -> None:
        message = json.loads(frame)
        if "articles" in message:
            try:
                articles = articles_of(message["articles"])
            except Exception as err:  # code of another age may take other articles; others are still answered
                frames.send(failed(message["id"], err))
                return
            answers.ask(message["id"], articles)
        elif "cancel" in message:
            answers.cancel(message["cancel"])
        else:
            frames.send(json.dumps({"pong": True, "down": bool(getattr(agent.classifier, "is_down", False))}).encode())

    frames = Frames(receive, gone.set)
    answers = answerer(agent, frames.send)
    await asyncio.get_running_loop().create_connection(lambda: frames, sock=connection)
    await gone.wait()
    os._exit(0)  # nobody wants what is still being asked


def articles_of(fields: Sequence[dict[str, Any]]) -> list[Any]:
    """Articles as the version's own code has them."""
    article = importlib.import_module("agent.records").Article
    return [article(**entry) for entry in fields]


if __name__ == "__main__":
    main(int(sys.argv[1]))
