"""The LLM providers on a server in this process, and servers that answer one thing, whatever is asked."""

import re
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import pytest

from agent.background import run
from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.prices import Price
from agent.providers import Pace, Provider, create_provider
from agent.providers.llm import LLMProvider
from agent.records import Article, Classification
from tests.conftest import ROOT
from tests.llm_server import LLMServer

Result = TypeVar("Result")
NUMBER = re.compile(r"Story (\d+)")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
ADDRESSES = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "DATABRICKS_HOST")
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DATABRICKS_TOKEN")
DATABRICKS_LOGIN = ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_CONFIG_PROFILE")


class Service(NamedTuple):
    """One way to reach a model."""

    provider: str
    model: str
    path: str
    key_variable: str
    cap_name: str


SERVICES = {
    "openai": Service("openai", "gpt-4o-mini", "/v1/chat/completions", "OPENAI_API_KEY", "max_completion_tokens"),
    "anthropic": Service("anthropic", "claude-haiku-4-5-20251001", "/v1/messages", "ANTHROPIC_API_KEY", "max_tokens"),
    "databricks": Service(
        "databricks", "databricks-gpt-oss-20b", "/serving-endpoints/chat/completions", "DATABRICKS_TOKEN", "max_tokens"
    ),
    "gateway": Service(
        "databricks", "system.ai.llama-4", "/ai-gateway/mlflow/v1/chat/completions", "DATABRICKS_TOKEN", "max_tokens"
    ),
}
Create = Callable[..., LLMProvider]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Service:
    return SERVICES[request.param]


@pytest.fixture(scope="session")
def listening() -> Iterator[LLMServer]:
    with LLMServer() as server:
        yield server


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no address, no proxy, no profile of the Databricks CLI."""
    for name in (*PROXIES, *map(str.upper, PROXIES), *ADDRESSES, *KEYS, *DATABRICKS_LOGIN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent/databrickscfg")


@pytest.fixture
def server(
    listening: LLMServer, labels: LabelSet, empty_environment: None, monkeypatch: pytest.MonkeyPatch
) -> LLMServer:
    """The server, which knows the right labels of every story; the environment leads to it."""
    listening.reset()
    listening.answers = lambda prompt: right(int(NUMBER.findall(prompt)[0]), labels)
    for name in KEYS:
        monkeypatch.setenv(name, listening.api_key)
    for name, url in zip(ADDRESSES, (f"{listening.url}/v1", listening.url, listening.url), strict=True):
        monkeypatch.setenv(name, url)
    return listening


@pytest.fixture
def create() -> Iterator[Create]:
    """Makes providers; their connections are closed in the end."""
    made: list[LLMProvider] = []

    def create(service: Service, **settings: object) -> LLMProvider:
        provider = create_provider(configure(service, **settings), None)
        assert isinstance(provider, LLMProvider)
        made.append(provider)
        return provider

    yield create
    for provider in made:
        run(provider._transport.close())


def configure(service: Service, **settings: object) -> AgentConfig:
    """A candidate that waits for nothing long."""
    price = Price(provider=service.provider, model=service.model, input=2, output=8, cached_input=0.5)
    content = {
        "name": "candidate",
        "provider": service.provider,
        "model": service.model,
        "track": "external",
        "labels": "../labels.yaml",
        "prompt": "../prompts/zero-shot.yaml",
        "price": price,
        "timeouts": {"read_s": 0.5, "total_s": 5},
        "retries": {"first_wait_s": 0.01, "longest_wait_s": 0.05},
    }
    return AgentConfig.from_settings(content | settings, ROOT / "config" / "agents" / "candidate.yaml")


def stories(count: int) -> list[Article]:
    return [Article(id=f"a{n}", title=f"Story {n}", content="It happened today.") for n in range(count)]


def right(number: int, labels: LabelSet) -> tuple[str, str]:
    """The labels of the story with this number."""
    categories, sentiments = labels.category_names, labels.sentiment_names
    return categories[number % len(categories)], sentiments[number % len(sentiments)]


def ask(provider: Provider, articles: Sequence[Article], pace: Pace | None = None) -> list[Classification]:
    """The answers in the order of the articles, of which each must have exactly one."""
    answers = dict(pairs := list(provider.classify(articles, pace)))
    assert sorted(index for index, _ in pairs) == list(range(len(articles)))
    return [answers[index] for index in range(len(articles))]


def ask_one(provider: Provider, article: Article | None = None) -> Classification:
    [answer] = ask(provider, [article or stories(1)[0]])
    return answer


def outcomes(answer: Classification) -> list[str]:
    return [call.outcome for call in answer.calls]


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What some work returns or raises, if it does in time."""
    done: list[Callable[[], Result]] = []

    def work_on() -> None:
        try:
            result = work()
            done.append(lambda: result)
        except BaseException as err:
            failed = err
            done.append(lambda: throw(failed))

    thread = threading.Thread(target=work_on, daemon=True)
    thread.start()
    thread.join(seconds)
    assert done, f"still at work after {seconds} s"
    return done[0]()


def throw(err: BaseException) -> Result:
    raise err


@contextmanager
def answering(response: bytes) -> Iterator[str]:
    """The address of a server that sends these bytes to everyone, and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while line := self.rfile.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            self.rfile.read(length)
            self.wfile.write(response)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as tcp:
        threading.Thread(target=tcp.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{tcp.server_address[1]}"
        tcp.shutdown()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP response."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body
