"""A receiver is told by a real MLflow server that the champion changed, as docs/notifications.md says."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, NamedTuple

import pytest
from cryptography.fernet import Fernet
from mlflow.entities.webhook import WebhookEventStr
from mlflow.tracking import MlflowClient

from agent.settings import read_settings
from eval.store import open_store
from registry.gates.config import GatesConfig
from registry.promotion import Consent, Promoter
from registry.register import register
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.servers import mlflow_server

GATES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
SECRET = "shared with the receiver"
TIMEOUT_S = 30


class Delivery(NamedTuple):
    headers: Mapping[str, str]
    body: bytes


@pytest.fixture
def event_of() -> Callable[..., dict[str, Any]]:
    """The receiver's function of docs/notifications.md."""
    [code] = re.findall(r"```python\n(import base64.*?)```", (ROOT / "docs" / "notifications.md").read_text(), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[..., dict[str, Any]] = names["event_of"]
    return function


@pytest.fixture
def receiver() -> "Iterator[tuple[str, Queue[Delivery]]]":
    """A receiver's address, and what it gets."""
    got: Queue[Delivery] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.put(Delivery(self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/mlflow", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(workspace: Path, _empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tracking server that may deliver to this machine."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    with mlflow_server(workspace, f"sqlite:///{shutil.copy(_empty_store, workspace / 'mlflow.db')}") as url:
        yield url


def use(store: str, environment: pytest.MonkeyPatch) -> None:
    """Work on a store from here on."""
    environment.setenv("MLFLOW_TRACKING_URI", store)
    environment.setenv("MLFLOW_REGISTRY_URI", store)
    open_store()


def test_a_receiver_is_told_of_a_new_champion(
    server: str,
    receiver: "tuple[str, Queue[Delivery]]",
    event_of: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use("sqlite:///mlflow.db", monkeypatch)  # the server's
    for accuracy in (0.91, 0.95):
        register(log_evaluation(accuracy), GATES, remeasure=unexpected)
    use(server, monkeypatch)
    client, (url, got) = MlflowClient(), receiver
    events: list[WebhookEventStr] = ["model_version_alias.created", "model_version_alias.deleted"]
    hook = client.create_webhook(name="champion", url=url, events=events, secret=SECRET)
    assert client.test_webhook(hook.webhook_id).success
    assert event_of(*got.get(timeout=TIMEOUT_S), SECRET)["data"]["name"] == "example_model"

    promoter = Promoter(client, GATES, unexpected)
    promoter.promote(promoter.review(), Consent("someone", "hash", "better"))

    deliveries = [got.get(timeout=TIMEOUT_S) for _ in range(3)]  # MLflow promises no order
    told = [event_of(*delivery, SECRET) for delivery in deliveries]
    assert {event["entity"] for event in told} == {"model_version_alias"}
    assert {event["data"]["name"] for event in told} == {"news_classifier"}
    assert {(event["action"], event["data"]["alias"], event["data"].get("version")) for event in told} == {
        ("created", "defeated", "1"),
        ("created", "champion", "2"),
        ("deleted", "challenger", None),
    }
    headers, body = deliveries[0]
    for forged, secret in ((body.replace(b"news", b"fake"), SECRET), (body, "another secret")):
        with pytest.raises(ValueError, match="signature"):
            event_of(headers, forged, secret)
