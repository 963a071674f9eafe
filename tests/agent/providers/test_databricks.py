"""What only Databricks has: OAuth for machines, profiles, two addresses, errors of its own."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.credentials import DatabricksLogin
from agent.errors import ConfigError
from agent.providers import Pace
from tests.agent.providers.conftest import SERVICES, Create, ask, ask_one, outcomes, stories, within
from tests.conftest import ROOT
from tests.llm_server import CHAT, Behaviour, LLMServer

TOKEN = f"dapi{'0123456789abcdef' * 2}"
SERVICE = SERVICES["databricks"]
SECRET = "dose0123456789abcdef0123456789abcdef"
TOKENS = "/oidc/v1/token"


@pytest.fixture
def machine(server: LLMServer, monkeypatch: pytest.MonkeyPatch) -> LLMServer:
    """The server, for a service principal rather than a personal token."""
    server.clients = {"robot": SECRET}
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "robot")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    return server


def signatures(server: LLMServer) -> list[str]:
    """The tokens of the questions, in order."""
    return [request.headers["authorization"] for request in server.requests if request.path in CHAT]


def test_one_oauth_token_serves_many_articles(machine: LLMServer, create: Create) -> None:
    provider = create(SERVICE)
    ask_one(provider)
    issued = [request.path for request in machine.requests].count(TOKENS)
    assert {outcomes(answer)[0] for answer in ask(provider, stories(8), Pace(4))} == {"ok"}
    assert [request.path for request in machine.requests].count(TOKENS) == issued
    assert len(set(signatures(machine))) == 1


def test_an_expired_oauth_token_is_renewed_between_requests(machine: LLMServer, create: Create) -> None:
    machine.token_lifetime_s = 1
    provider = create(SERVICE)
    for _ in range(3):
        assert outcomes(ask_one(provider)) == ["ok"]
    assert len(set(signatures(machine))) == 3
    time.sleep(1.05)
    assert outcomes(ask_one(provider)) == ["ok"]


@pytest.mark.parametrize("status", [401, 503], ids=["revoked", "out of order"])
def test_a_token_that_cannot_be_renewed_is_an_articles_error(machine: LLMServer, create: Create, status: int) -> None:
    machine.token_lifetime_s = 1
    provider = create(SERVICE, timeouts={"total_s": 0.3})
    assert outcomes(ask_one(provider)) == ["ok"]
    machine.elsewhere = Behaviour(status=status)
    answers = ask(provider, stories(2))
    assert all(answer.error for answer in answers)
    assert SECRET not in str(answers)


def test_a_slow_renewal_holds_up_no_other_provider(machine: LLMServer, create: Create) -> None:
    machine.token_lifetime_s = 1
    slow, quick = create(SERVICE), create(SERVICES["openai"])
    assert outcomes(ask_one(slow)) == outcomes(ask_one(quick)) == ["ok"]
    machine.elsewhere = Behaviour(latency_s=1)
    with ThreadPoolExecutor() as threads:
        renewing = threads.submit(ask_one, slow)
        time.sleep(0.1)
        started = time.monotonic()
        ask_one(quick)
        took_s = time.monotonic() - started
        renewing.result()
    assert took_s < 0.5


def test_the_deadline_of_an_article_covers_its_sign_in(machine: LLMServer, create: Create) -> None:
    machine.token_lifetime_s = 1
    provider = create(SERVICE, timeouts={"total_s": 0.3})
    assert outcomes(ask_one(provider)) == ["ok"]
    machine.elsewhere = Behaviour(latency_s=1)
    assert within(0.7, lambda: ask_one(provider)).error


SIGN_IN_AND_LEAVE = """
import sys
from pathlib import Path
from agent.config import AgentConfig
from agent.providers import create_provider
from agent.records import Article

config = AgentConfig.from_file(Path("config/agents/internal-databricks.yaml"))
timeouts = config.timeouts.model_copy(update={"total_s": 0.3})
provider = create_provider(config.model_copy(update={"timeouts": timeouts}), None)
for _ in range(2):
    print(list(provider.classify([Article(title="Story 1")])), flush=True)
    sys.stdin.readline()
"""


def test_a_process_can_end_while_a_token_is_renewed(machine: LLMServer) -> None:
    machine.token_lifetime_s = 1
    with subprocess.Popen(
        [sys.executable, "-c", SIGN_IN_AND_LEAVE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert "error=None" in process.stdout.readline()
            machine.elsewhere = Behaviour(hang=True)
            process.stdin.write("\n")
            process.stdin.flush()
            assert "no token in time" in process.stdout.readline()
            process.stdin.close()
            process.wait(timeout=3)
        finally:
            process.kill()


def test_a_wrong_secret_is_named_and_not_shown(
    machine: LLMServer, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", wrong := SECRET[::-1])
    with pytest.raises(ConfigError, match="DATABRICKS_CLIENT_SECRET") as caught:
        ask_one(create(SERVICE))
    assert wrong not in str(caught.value)
    assert signatures(machine) == []


def test_a_profile_of_the_databricks_cli_will_do(
    server: LLMServer, create: Create, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "databrickscfg").write_text(f"[DEFAULT]\nhost = {server.url}\ntoken = {server.api_key}\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    assert outcomes(ask_one(create(SERVICE))) == ["ok"]
    assert signatures(server) == [f"Bearer {server.api_key}"]


@pytest.mark.usefixtures("empty_environment")
def test_a_token_without_a_workspace_asks_for_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", token := TOKEN)
    with pytest.raises(ConfigError, match="DATABRICKS_HOST") as caught:
        DatabricksLogin()
    assert token not in str(caught.value)


@pytest.mark.usefixtures("empty_environment")
@pytest.mark.parametrize(
    "host",
    [
        "dbc-1.cloud.databricks.com",
        "https://dbc-1.cloud.databricks.com",
        "https://dbc-1.cloud.databricks.com/",
        "dbc-1.cloud.databricks.com//",
        "https://dbc-1.cloud.databricks.com/?o=123456",
    ],
)
def test_the_workspace_may_be_written_in_any_of_the_usual_ways(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", host)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    assert DatabricksLogin().host == "https://dbc-1.cloud.databricks.com"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("system.ai.claude-sonnet-4-5", SERVICES["gateway"].path),
        ("databricks-claude-sonnet-4-5", SERVICE.path),
        ("my-system.ai.endpoint", SERVICE.path),
    ],
)
def test_models_of_the_catalog_are_asked_through_the_gateway(
    server: LLMServer, create: Create, model: str, path: str
) -> None:
    ask_one(create(SERVICE._replace(model=model)))
    assert [request.path for request in server.requests] == [path]


@pytest.mark.parametrize(
    ("status", "said", "advised"),
    [
        (400, "BAD_REQUEST: The answer is 400", ""),
        (401, "UNAUTHENTICATED: Invalid access token.", "Look at DATABRICKS_TOKEN (expired?)"),
        (403, "PERMISSION_DENIED: The answer is 403", "Look at the permission CAN QUERY on the serving endpoint"),
        (404, "RESOURCE_DOES_NOT_EXIST: The answer is 404", "Look at DATABRICKS_HOST and the endpoint name"),
    ],
)
def test_errors_say_what_databricks_says_and_what_to_do(
    server: LLMServer, create: Create, status: int, said: str, advised: str
) -> None:
    server.behaviour = Behaviour(status=status)
    error = ask_one(create(SERVICE)).error
    assert error
    assert error.message.startswith(f"databricks: status {status}: {said}")
    assert advised in error.message


def test_a_reasoning_model_that_never_gets_to_its_answer_is_unknown(server: LLMServer, create: Create) -> None:
    """gpt-oss says null when its reasoning has used the whole output cap up."""
    server.behaviour = Behaviour(kind="null_content")
    answer = ask_one(create(SERVICE, params={"reasoning_effort": "low"}))
    assert answer.unknown_reason == "the answer is empty"
    assert outcomes(answer) == ["unreadable", "unreadable"]
    assert {request.body["reasoning_effort"] for request in server.requests if request.body} == {"low"}
