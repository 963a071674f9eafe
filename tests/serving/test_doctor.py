"""`doctor` and `models` as a person uses them: HTTP on loopback, a real store, exit codes, nothing secret shown."""

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from eval.console import Group
from serving import doctor as doctor_module
from serving.doctor_commands import doctor, models
from tests.llm_server import Behaviour, LLMServer

KEY = f"sk-{'doctor' * 4}"
PLACES = ["tracking store", "registry", "Unity Catalog"]


@click.group(cls=Group)
def main() -> None:
    pass


main.add_command(doctor)
main.add_command(models)


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def findings(*words: str | Path) -> dict[str, tuple[str, str]]:
    """Status and detail of each check, by its name, in the order of the checks."""
    found = json.loads(command("doctor", *words, "--json").stdout)
    return {row["check"]: (row["status"], row["detail"]) for row in found["checks"]}


def in_days(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def write_prices(workspace: Path, model: str, days: int) -> None:
    price = {"provider": "openai", "model": model, "input": 0.5, "output": 2}
    table = {"currency": "USD", "as_of": in_days(days), "source": "a price list", "prices": [price]}
    (workspace / "config" / "prices.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")


def write_end(workspace: Path, days: int, **more: object) -> None:
    end = {"provider": "openai", "model": "news-7", "retires": in_days(days), "successor": "news-8", "source": "a page"}
    lifecycle = yaml.safe_dump({"models": [end | more]})
    (workspace / "config" / "lifecycle.yaml").write_text(lifecycle, encoding="utf-8")


def write_agent(workspace: Path, **more: object) -> Path:
    """A candidate with the model news-7, whose price is known and whose end is not near."""
    shared = {"labels": "../labels.yaml", "prompt": "../prompts/zero-shot.yaml", "prices": "../prices.yaml"}
    settings = {"name": "mine", "provider": "openai", "model": "news-7", "track": "external", **shared, **more}
    path = workspace / "config" / "agents" / f"{settings['name']}.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    write_prices(workspace, "news-7", days=-1)
    write_end(workspace, days=365)
    return path


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    """No provider can be signed in to, whatever this machine has."""
    for provider in ("openai", "anthropic", "databricks"):
        for name in ("API_KEY", "BASE_URL", "HOST", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "CONFIG_PROFILE"):
            monkeypatch.delenv(f"{provider}_{name}".upper(), raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(workspace / "none.cfg"))
    (workspace / "config" / ".env").unlink(missing_ok=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    """OpenAI, with its address and key in the environment."""
    with LLMServer(KEY) as server:
        server.models = {"news-7", "news-8", "news-7-mini"}
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield server


@pytest.fixture
def agent_file(workspace: Path) -> Path:
    return write_agent(workspace)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# One candidate.


def test_all_is_well(store: MlflowClient, server: LLMServer, agent_file: Path) -> None:
    result = command("doctor", "--agent", agent_file)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(line.startswith("ok    ") for line in lines)
    assert lines[0].split() == ["ok", "openai", "key", "present"]
    assert f"{server.url}/v1 answered in " in lines[1]
    assert "offers 3 models" in lines[1]
    assert "'news-7' is offered" in lines[2]
    assert "'news-7' retires on" in lines[3]
    assert f"$0.5 in, $2 out per million tokens, as of {in_days(-1)} (a price list)" in lines[4]
    assert [line[6:].split("  ")[0] for line in lines[5:]] == PLACES
    assert [received.path for received in server.requests] == ["/v1/models"]
    assert KEY not in result.output


def test_details_stand_in_one_column(store: MlflowClient, server: LLMServer, agent_file: Path) -> None:
    width = len("mine end of life")
    for line in command("doctor", "--agent", agent_file).stdout.splitlines():
        assert line[6 + width : 8 + width] == "  "
        assert line[8 + width] != " "


def test_json_holds_the_same_and_the_worst_status(store: MlflowClient, server: LLMServer, agent_file: Path) -> None:
    found = json.loads(command("doctor", "--agent", agent_file, "--json").stdout)
    assert found["status"] == "ok"
    assert {tuple(row) for row in found["checks"]} == {("check", "status", "detail")}
    parts = ("openai key", "openai endpoint", "mine model", "mine end of life", "mine price")
    assert [row["check"] for row in found["checks"]] == [*parts, *PLACES]
    write_prices(agent_file.parents[2], "another", days=0)
    assert json.loads(command("doctor", "--agent", agent_file, "--json").stdout)["status"] == "warn"
    server.elsewhere = Behaviour(status=503)
    result = command("doctor", "--agent", agent_file, "--json")
    assert json.loads(result.stdout)["status"] == "fail"
    assert result.exit_code == 1


def test_a_missing_key_of_a_named_candidate_fails(store: MlflowClient, agent_file: Path) -> None:
    result = command("doctor", "--agent", agent_file)
    assert result.exit_code == 1
    assert "fail  openai key" in result.stdout
    assert "OPENAI_API_KEY is not set" in result.stdout
    assert list(findings("--provider", "openai"))[:1] == ["openai key"]
    assert findings("--provider", "anthropic")["anthropic key"][0] == "fail"
    status, detail = findings("--provider", "databricks")["databricks key"]
    assert status == "fail"
    assert "DATABRICKS_HOST" in detail


def test_a_wrong_key_fails_and_is_not_shown(
    store: MlflowClient, server: LLMServer, agent_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server quotes the key that it refuses."""
    wrong = "wrong-0123456789-key"
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    for words in (("doctor",), ("doctor", "--json"), ("doctor", "--agent", agent_file)):
        result = command(*words)
        assert result.exit_code == 1
        assert "status 401: invalid_api_key" in result.output
        assert "Look at OPENAI_API_KEY" in result.output
        assert wrong not in result.output
    assert "mine model" not in findings("--agent", agent_file)


def test_a_refusal_is_told_in_the_words_of_the_provider(
    store: MlflowClient, server: LLMServer, agent_file: Path
) -> None:
    server.elsewhere = Behaviour(status=403)
    status, detail = findings("--agent", agent_file)["openai endpoint"]
    assert (status, "status 403" in detail) == ("fail", True)
    assert "The answer is 403, as told." in detail


def test_an_endpoint_that_is_not_there_or_hangs_fails(
    store: MlflowClient, server: LLMServer, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_file = write_agent(workspace, timeouts={"read_s": 0.3})
    server.elsewhere = Behaviour(hang=True)
    status, detail = findings("--agent", agent_file)["openai endpoint"]
    assert (status, "no answer within 0.3 s" in detail) == ("fail", True)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed_port()}/v1")
    status, detail = findings("--agent", agent_file)["openai endpoint"]
    assert (status, "no connection" in detail) == ("fail", True)
    assert "Check the address, the network and the proxy." in detail


def test_a_model_that_is_not_offered_fails_with_the_nearest_names(store: MlflowClient, server: LLMServer) -> None:
    result = command("doctor", "--provider", "openai", "--model", "news-9")
    assert result.exit_code == 1
    assert "'news-9' is not offered; nearest: 'news-8', 'news-7', 'news-7-mini'." in result.stdout
    assert "news-classifier models --provider openai" in result.stdout
    server.models = {"whisper"}
    assert "nearest: none like it" in findings("--provider", "openai", "--model", "news-9")["external-news-9 model"][1]


def test_anthropic_offers_a_model_under_its_dated_name(
    store: MlflowClient, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    server.models = {"claude-news-7-20260101"}
    found = findings("--provider", "anthropic", "--model", "claude-news-7")
    assert found["external-claude-news-7 model"] == ("ok", "'claude-news-7' is offered as 'claude-news-7-20260101'")
    assert findings("--provider", "anthropic", "--model", "claude-news")["external-claude-news model"][0] == "fail"


def test_databricks_is_asked_at_its_own_address(
    store: MlflowClient, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", KEY)
    server.models = {"databricks-news"}
    found = findings("--provider", "databricks", "--model", "databricks-news")
    assert found["databricks endpoint"][0] == "ok"
    assert found["internal-databricks-news model"][0] == "ok"
    assert [received.path for received in server.requests] == ["/api/2.0/serving-endpoints"]
    found = findings("--provider", "databricks", "--model", "system.ai.news")
    assert found["internal-system-ai-news model"][0] == "warn"


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [(91, "ok", "in 91 days"), (90, "warn", "in 90 days"), (1, "warn", "in 1 day."), (0, "fail", "retired on")],
)
def test_end_of_life(
    store: MlflowClient, server: LLMServer, agent_file: Path, days: int, status: str, words: str
) -> None:
    write_end(agent_file.parents[2], days)
    found = findings("--agent", agent_file)["mine end of life"]
    assert found[0] == status
    assert in_days(days) in found[1]
    assert words in found[1]
    assert "Use 'news-8' instead. Source: a page." in found[1]
    assert command("doctor", "--agent", agent_file).exit_code == (1 if status == "fail" else 0)


def test_a_model_that_is_gone_fails_by_whatever_name(store: MlflowClient, server: LLMServer, agent_file: Path) -> None:
    write_end(agent_file.parents[2], -1, model="another", aliases=["news-7"], gone=True)
    assert findings("--agent", agent_file)["mine end of life"][0] == "fail"
    (agent_file.parents[1] / "lifecycle.yaml").unlink()
    assert findings("--agent", agent_file)["mine end of life"][0] == "ok"


def test_a_price_is_known_and_fresh_or_warned_about(store: MlflowClient, server: LLMServer, agent_file: Path) -> None:
    workspace = agent_file.parents[2]
    for days, status in ((-90, "ok"), (-91, "warn")):
        write_prices(workspace, "news-7", days)
        found = findings("--agent", agent_file)["mine price"]
        assert (found[0], in_days(days) in found[1]) == (status, True)
    write_prices(workspace, "another", 0)
    status, detail = findings("--agent", agent_file)["mine price"]
    assert (status, "unknown" in detail) == ("warn", True)
    assert command("doctor", "--agent", agent_file).exit_code == 0


def test_the_local_model_is_trained_or_not_or_damaged(store: MlflowClient, workspace: Path, local_model: Path) -> None:
    shared = {"labels": "../labels.yaml", "track": "local", "provider": "sklearn", "model": "news-sklearn"}
    path = workspace / "config" / "agents" / "small.yaml"
    path.write_text(yaml.safe_dump({"name": "small", **shared, "artifact": str(local_model)}), encoding="utf-8")
    found = findings("--agent", path)
    assert list(found) == ["small trained model", *PLACES]
    assert found["small trained model"] == ("ok", f"{local_model} loads")
    status, detail = findings("--provider", "sklearn")["local-sklearn trained model"]
    assert (status, "make train" in detail) == ("warn", True)
    folder = workspace / "models" / "local-sklearn"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert findings("--provider", "sklearn")["local-sklearn trained model"][0] == "fail"


# All candidates.


def test_without_keys_the_local_track_suffices(store: MlflowClient) -> None:
    result = command("doctor")
    assert result.exit_code == 0, result.output
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok", "warn"}
    for provider in ("openai", "anthropic", "databricks"):
        assert findings()[f"{provider} key"][0] == "warn"
    assert "external-openai-gpt-6-luna price" in result.stdout


def test_each_endpoint_is_asked_once(store: MlflowClient, server: LLMServer, workspace: Path) -> None:
    write_agent(workspace, base_url=f"{server.url}/v1/")
    found = findings()
    assert [received.path for received in server.requests] == ["/v1/models"]
    assert found["mine model"][0] == "ok"
    with LLMServer(KEY) as other:
        write_agent(workspace, base_url=f"{other.url}/v1")
        result = command("doctor")
        assert [received.path for received in other.requests] == ["/v1/models"]
    assert result.stdout.count("openai endpoint") == 2
    assert result.stdout.count("openai key") == 1


def test_one_of_many_candidates_that_cannot_be_used_is_a_warning(
    store: MlflowClient, server: LLMServer, agent_file: Path
) -> None:
    write_end(agent_file.parents[2], -1)
    found = findings()
    assert found["mine end of life"][0] == "warn"
    assert found["external-openai model"][0] == "warn"
    assert command("doctor").exit_code == 0
    server.elsewhere = Behaviour(status=401)
    assert findings()["openai endpoint"][0] == "fail"
    assert command("doctor").exit_code == 1


def test_wrong_input_is_named(store: MlflowClient, agent_file: Path) -> None:
    both = command("doctor", "--agent", agent_file, "--model", "news-7")
    missing = command("doctor", "--agent", "none.yaml")
    unknown = command("doctor", "--provider", "opnai")
    assert (both.exit_code, missing.exit_code, unknown.exit_code) == (2, 2, 2)
    assert "Cannot read none.yaml" in missing.output
    assert "Unknown provider 'opnai'" in unknown.output
    agent_file.write_text("name: broken", encoding="utf-8")
    assert command("doctor").exit_code == 2


# Where runs and models are kept.


def test_store_and_registry(store: MlflowClient, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings("--provider", "sklearn")
    assert found["tracking store"] == ("ok", f"sqlite:///{workspace}/mlflow.db answers")
    assert found["registry"][1].startswith("news_classifier has 0 versions, no champion")
    store.create_registered_model("news_classifier")
    store.create_model_version("news_classifier", source=str(workspace))
    store.set_registered_model_alias("news_classifier", "champion", "1")
    detail = findings("--provider", "sklearn")["registry"][1]
    assert detail == "news_classifier has 1 version, champion is version 1"
    (workspace / "broken.db").write_text("no database at all", encoding="utf-8")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/broken.db")
    found = findings("--provider", "sklearn")
    assert found["tracking store"][0] == found["registry"][0] == "fail"


def test_a_store_that_is_not_there_is_not_waited_for(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:pass-word@127.0.0.1:{closed_port()}")
    result = command("doctor", "--provider", "sklearn")
    assert result.exit_code == 1
    assert "fail  tracking store" in result.stdout
    assert "pass-word" not in result.output
    monkeypatch.setattr(doctor_module, "PLACE_TIMEOUT_S", 0.5)
    with LLMServer() as silent:
        silent.elsewhere = Behaviour(hang=True)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", silent.url)
        found = findings("--provider", "sklearn")
    assert found["tracking store"] == ("fail", "no answer within 0.5 s. Check its address and the network.")


class Workspace:
    """A Databricks workspace with the schema main.news, as far as `doctor` asks; answers whoever asks."""

    def __init__(self) -> None:
        self.me = {"userName": "ann@example.com", "groups": [{"display": "users"}, {"display": "press"}]}
        self.owners = {"main": "root", "main.news": "root"}
        self.grants = {
            ("schema", "main.news", "press"): ["USE_CATALOG", "USE_SCHEMA"],
            ("schema", "main.news", "account users"): ["CREATE_MODEL"],
        }
        self.unreadable: set[str] = set()

    def answer(self, url: str) -> tuple[int, Any]:
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        name = path.rpartition("/")[2]
        if path.endswith("/scim/v2/Me"):
            return 200, self.me
        if name in self.unreadable:
            return 403, {"error_code": "PERMISSION_DENIED", "message": f"User does not have USE on {name}"}
        if re.search("/unity-catalog/(catalogs|schemas|models)/", path) and name in self.owners:
            return 200, {"name": name, "owner": self.owners[name]}
        if "/effective-permissions/" in path:
            return self.permissions(path.split("/")[-2], name, query["principal"][0])
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"nothing at {path}"}

    def permissions(self, kind: str, name: str, principal: str) -> tuple[int, Any]:
        if principal == "users":
            return 404, {"error_code": "PRINCIPAL_DOES_NOT_EXIST", "message": "Could not find principal users"}
        privileges = [{"privilege": privilege} for privilege in self.grants.get((kind, name, principal), ())]
        return 200, {
            "privilege_assignments": [{"principal": principal, "privileges": privileges}] if privileges else []
        }


@pytest.fixture
def unity_catalog(store: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    workspace = Workspace()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, payload = workspace.answer(self.path)
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setenv("DATABRICKS_HOST", f"http://127.0.0.1:{http.server_port}")
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0123456789abcdef0123")
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc")
        monkeypatch.setenv("UC_CATALOG", "main")
        monkeypatch.setenv("UC_SCHEMA", "news")
        yield workspace
        http.shutdown()


def in_unity_catalog() -> tuple[str, str]:
    return findings("--provider", "sklearn")["Unity Catalog"]


def test_unity_catalog_counts_the_grants_of_groups(unity_catalog: Workspace) -> None:
    assert in_unity_catalog() == ("ok", "ann@example.com may register models in main.news")
    assert findings("--provider", "sklearn")["registry"][1].startswith("main.news.news_classifier has 0 versions")


def test_unity_catalog_counts_owners_and_all_privileges(unity_catalog: Workspace) -> None:
    unity_catalog.grants = {("catalog", "main", "ann@example.com"): ["USE_CATALOG"]}
    unity_catalog.owners["main.news"] = "press"
    assert in_unity_catalog()[0] == "ok"
    unity_catalog.owners["main.news"] = "root"
    unity_catalog.grants = {("schema", "main.news", "press"): ["ALL_PRIVILEGES"]}
    assert in_unity_catalog()[0] == "ok"


def test_unity_catalog_says_what_to_grant(unity_catalog: Workspace) -> None:
    del unity_catalog.grants["schema", "main.news", "account users"]
    status, detail = in_unity_catalog()
    assert (status, "GRANT CREATE MODEL ON SCHEMA main.news TO `ann@example.com`" in detail) == ("fail", True)
    unity_catalog.grants = {}
    detail = in_unity_catalog()[1]
    assert "lacks USE CATALOG, USE SCHEMA, CREATE MODEL" in detail
    assert "GRANT USE CATALOG ON CATALOG main TO" in detail
    unity_catalog.unreadable = {"main.news"}
    status, detail = in_unity_catalog()
    assert (status, "GRANT USE SCHEMA ON SCHEMA main.news TO `ann@example.com`" in detail) == ("fail", True)
    unity_catalog.unreadable = {"main"}
    assert "GRANT USE CATALOG ON CATALOG main TO `ann@example.com`" in in_unity_catalog()[1]


def test_unity_catalog_looks_at_the_model_that_is_there(unity_catalog: Workspace) -> None:
    """Regression: who may make models in the schema was told that all is well, and was refused at another's model."""
    unity_catalog.owners["main.news.news_classifier"] = "bob"
    status, detail = in_unity_catalog()
    assert (status, "belongs to bob, and ann@example.com lacks EXECUTE, APPLY TAG, MANAGE" in detail) == ("fail", True)
    unity_catalog.owners["main.news.news_classifier"] = "press"
    assert in_unity_catalog()[0] == "ok"


def test_unity_catalog_needs_both_names_and_its_registry(
    unity_catalog: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks")
    status, detail = in_unity_catalog()
    assert (status, "Set it to 'databricks-uc'" in detail) == ("fail", True)
    monkeypatch.delenv("UC_SCHEMA")
    assert "UC_SCHEMA not set" in in_unity_catalog()[1]
    monkeypatch.delenv("UC_CATALOG")
    assert "UC_CATALOG and UC_SCHEMA not set" in in_unity_catalog()[1]
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert in_unity_catalog() == ("ok", "not used")


# Lists of models.


def test_models_are_listed_with_their_candidates_and_ends(server: LLMServer, agent_file: Path) -> None:
    write_end(agent_file.parents[2], 10, model="news-7", aliases=["news-7-mini"])
    result = command("models", "--provider", "openai")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["news-7", "news-7-mini", "news-8"]
    assert lines[0].startswith(f"news-7       candidate mine; retires on {in_days(10)}, in 10 days.")
    assert lines[1].startswith("news-7-mini  retires on")
    assert lines[2] == "news-8"
    assert command("models", "--agent", agent_file).stdout == result.stdout
    assert len(server.requests) == 2


def test_a_password_in_an_address_is_not_shown(
    store: MlflowClient, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url.replace('://', '://ann:hunter22@')}/v1")
    for words in (("models", "--provider", "openai"), ("doctor", "--provider", "openai"), ("doctor", "--json")):
        result = command(*words)
        assert "OPENAI_BASE_URL is wrong" in result.output
        assert "hunter22" not in result.output


def test_models_of_every_provider_that_has_a_key(server: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    result = command("models", "--json")
    assert json.loads(result.stdout) == {"openai": ["news-7", "news-7-mini", "news-8"]}
    assert "Left out: anthropic. ANTHROPIC_API_KEY is not set." in result.stderr
    assert len(server.requests) == 1
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert set(json.loads(command("models", "--json").stdout)) == {"anthropic", "openai"}


def test_models_without_any_key_says_which_variables_to_set(workspace: Path) -> None:
    result = command("models")
    assert result.exit_code == 2
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        assert variable in result.output
    assert command("models", "--provider", "openai").exit_code == 2
    local = command("models", "--provider", "sklearn")
    assert local.exit_code == 2
    assert "Choose one of: anthropic, databricks, openai." in local.output


def test_models_of_one_provider_are_listed_although_another_refuses(
    server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "wrong-0123456789-key"
    monkeypatch.setenv("ANTHROPIC_API_KEY", wrong)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    result = command("models", "--json")
    assert result.exit_code == 3
    assert set(json.loads(result.stdout)) == {"openai"}
    assert "status 401" in result.stderr
    assert wrong not in result.output
