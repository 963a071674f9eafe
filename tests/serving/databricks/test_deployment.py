"""Create, update, fail and revert against a Model Serving that keeps the API's names, states and refusals."""

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError, DeploymentError
from registry.versions import Version
from serving.databricks.deployment import Deployment
from serving.databricks.endpoint import Endpoint, wanted_endpoint
from serving.databricks.settings import DatabricksSettings
from serving.databricks.workspace import Workspace
from tests.registry.stores import NAME, sign_in
from tests.serving_endpoints_server import ServingServer
from tests.unity_catalog_rules import RefusedError

ENDPOINT = "/api/2.0/serving-endpoints/news-classifier"
CONFIG, GATEWAY = f"{ENDPOINT}/config", f"{ENDPOINT}/ai-gateway"


class Attempts:
    """Brings versions to the endpoint of one workspace, and keeps what was told."""

    def __init__(self, server: ServingServer, settings: DatabricksSettings) -> None:
        self.server, self.settings = server, settings
        self.told: list[str] = []

    def wanted(self, champion: str, challenger: str | None = None, provider: str = "sklearn") -> Endpoint:
        versions = [Version(one, "run", {"provider": provider}, ()) if one else None for one in (champion, challenger)]
        assert versions[0]
        return wanted_endpoint(NAME, versions[0], versions[1], 10, self.settings)

    def deployment(self, champion: str, challenger: str | None = None, **options: Any) -> Deployment:
        provider = options.pop("provider", "sklearn")
        wanted = self.wanted(champion, challenger, provider)
        return Deployment(Workspace(None), wanted, self.told.append, **({"timeout_s": 10, "poll_s": 0.01} | options))

    def deploy(self, champion: str, challenger: str | None = None, **options: Any) -> str:
        deployment = self.deployment(champion, challenger, **options)
        return deployment.run(self.settings.smoke_test.model_dump()).action

    def fail(self, champion: str, challenger: str | None = None, **options: Any) -> str:
        with pytest.raises(DeploymentError) as failure:
            self.deploy(champion, challenger, **options)
        return str(failure.value)

    @property
    def traffic(self) -> dict[str, int]:
        """Version to share, as the endpoint has them."""
        config = self.server.endpoints["news-classifier"].config
        assert config
        numbers = {one["name"]: one["entity_version"] for one in config["served_entities"]}
        routes = config["traffic_config"]["routes"]
        return {numbers[route["served_entity_name"]]: route["traffic_percentage"] for route in routes}

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Method and path of what was sent since the last look."""
        sent = [(method, path) for method, path, _ in self.server.sent]
        self.server.sent.clear()
        return sent


@pytest.fixture
def attempts(versions: ServingServer, settings: DatabricksSettings) -> Attempts:
    return Attempts(versions, settings)


# It works.


def test_created_then_split_then_moved_then_left_alone(attempts: Attempts) -> None:
    assert attempts.deploy("1") == "created"
    assert attempts.changes == [("POST", "/api/2.0/serving-endpoints")]
    assert attempts.traffic == {"1": 100}
    assert attempts.deploy("1", "2") == "updated"
    assert attempts.changes == [("PUT", CONFIG)]
    assert attempts.traffic == {"1": 90, "2": 10}
    assert attempts.deploy("2") == "updated"
    assert attempts.changes == [("PUT", CONFIG)]
    assert attempts.traffic == {"2": 100}
    assert attempts.deploy("2") == "unchanged"
    assert attempts.changes == []


def test_every_version_that_serves_is_tried(attempts: Attempts) -> None:
    attempts.deploy("1", "2")
    paths = [path for path, _ in attempts.server.asked]
    place = "/serving-endpoints/news-classifier"
    assert paths == [
        f"{place}/invocations",
        f"{place}/served-models/news_classifier-1/invocations",
        f"{place}/served-models/news_classifier-2/invocations",
    ]
    article = {"title": attempts.settings.smoke_test.title, "content": attempts.settings.smoke_test.content}
    assert attempts.server.asked[0][1] == {"input": [], "custom_inputs": article}


def test_what_is_sent_is_what_was_shown(attempts: Attempts) -> None:
    for words in (("1",), ("1", "2"), ("3",)):
        shown = attempts.deployment(*words).requests()
        attempts.server.sent.clear()
        attempts.deploy(*words)
        assert [list(request) for request in attempts.server.sent] == [list(request) for request in shown]


def test_the_dry_run_changes_nothing(attempts: Attempts) -> None:
    attempts.deployment("1").requests()
    assert attempts.changes == []
    assert attempts.server.endpoints == {}


def test_progress_is_told(attempts: Attempts) -> None:
    attempts.server.polls = 3
    attempts.deploy("1")
    told = "\n".join(attempts.told)
    assert "NOT_READY, IN_PROGRESS, news_classifier-1 DEPLOYMENT_CREATING" in told
    assert told.count("DEPLOYMENT_CREATING") == 1  # a state that lasts is told once
    assert re.search(r"/serving-endpoints/news-classifier/invocations: Sports in \d+ ms", told)


def test_an_endpoint_that_wakes_up_is_asked_again(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.silent = 2
    assert attempts.deploy("1") == "unchanged"


def test_keys_go_as_references(attempts: Attempts) -> None:
    attempts.deploy("1", provider="openai")
    sent = json.dumps(attempts.server.sent)
    assert "{{secrets/news-classifier-secrets/openai-api-key}}" in sent
    assert "token-of" not in sent


# AI Gateway.


def test_the_gateway_follows_the_settings(attempts: Attempts) -> None:
    attempts.deploy("1")
    gateway = attempts.server.endpoints["news-classifier"].gateway
    assert gateway["inference_table_config"]["catalog_name"] == "main"
    moved = {"inference_table": {"catalog_name": "logs", "table_name_prefix": "n"}}
    attempts.settings = DatabricksSettings.model_validate(attempts.settings.model_dump() | {"ai_gateway": moved})
    attempts.server.sent.clear()
    assert attempts.deploy("2") == "updated"
    assert attempts.changes == [("PUT", GATEWAY), ("PUT", GATEWAY), ("PUT", CONFIG)]
    assert attempts.server.endpoints["news-classifier"].gateway["inference_table_config"]["catalog_name"] == "logs"
    attempts.settings = DatabricksSettings.model_validate(attempts.settings.model_dump() | {"ai_gateway": {}})
    attempts.deploy("2")
    assert attempts.server.endpoints["news-classifier"].gateway == {}


def test_a_gateway_that_is_refused_leaves_the_versions_alone(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.sent.clear()
    limited = attempts.settings.model_dump() | {"ai_gateway": {"rate_limits": [{"calls": 1}]}}
    attempts.settings = DatabricksSettings.model_validate(limited)
    problem = attempts.fail("2")
    assert "'rate_limits'" in problem
    assert "This command changed nothing: version 1 (100 %) served." in problem
    assert attempts.changes == [("PUT", GATEWAY)]
    assert attempts.traffic == {"1": 100}


def test_the_gateway_is_reverted_with_the_versions(attempts: Attempts) -> None:
    attempts.deploy("1")
    before = attempts.server.endpoints["news-classifier"].gateway
    moved = {"inference_table": {"catalog_name": "logs", "table_name_prefix": "n"}}
    attempts.settings = DatabricksSettings.model_validate(attempts.settings.model_dump() | {"ai_gateway": moved})
    attempts.server.says["2"] = "Business"
    attempts.fail("2")
    assert attempts.server.endpoints["news-classifier"].gateway == before
    assert attempts.traffic == {"1": 100}


# It fails, and what stood before stands again.


def test_an_endpoint_that_never_came_up_is_deleted_by_whom_it_was_created(attempts: Attempts) -> None:
    attempts.server.broken = {"1"}
    problem = attempts.fail("1")
    assert "did not come up: NOT_READY, UPDATE_FAILED, news_classifier-1 DEPLOYMENT_FAILED" in problem
    assert "build-logs news-classifier news_classifier-1" in problem
    assert "The endpoint, which this command had created, was deleted." in problem
    assert attempts.server.endpoints == {}


def test_one_that_was_there_before_is_never_deleted(attempts: Attempts) -> None:
    attempts.server.broken = {"1"}
    with pytest.raises(KeyboardInterrupt):
        interrupted(attempts, "1")
    problem = attempts.fail("1")
    assert "There was no configuration before that could be brought back." in problem
    assert "news-classifier" in attempts.server.endpoints
    attempts.server.broken = set()
    assert attempts.deploy("1") == "updated"


def test_an_update_that_fails_leaves_what_was_served(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.broken = {"2"}
    problem = attempts.fail("2")
    assert "UPDATE_FAILED" in problem
    assert "Nothing had to be reverted: version 1 (100 %) served." in problem
    assert attempts.traffic == {"1": 100}
    assert attempts.deploy("1") == "unchanged"
    assert attempts.deploy("3") == "updated"


@pytest.mark.parametrize(
    ("said", "named"), [("Business", "'Business', and not 'Sports'"), ("error", "the key was refused")]
)
def test_a_version_that_answers_wrong_is_reverted(attempts: Attempts, said: str, named: str) -> None:
    attempts.deploy("1")
    before = attempts.server.endpoints["news-classifier"].config
    attempts.server.sent.clear()
    attempts.server.says["2"] = said
    problem = attempts.fail("2")
    assert named in problem
    assert "Reverted: version 1 (100 %) served again." in problem
    assert attempts.changes == [("PUT", CONFIG), ("PUT", CONFIG)]
    assert attempts.traffic == {"1": 100}
    config = attempts.server.endpoints["news-classifier"].config
    assert before
    assert config
    kept = set(before["served_entities"][0])
    assert {name: value for name, value in config["served_entities"][0].items() if name in kept} == (
        before["served_entities"][0]
    )


def test_a_challenger_that_answers_wrong_is_noticed_although_the_champion_answers(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.says["2"] = "Business"
    problem = attempts.fail("1", "2")
    assert "served-models/news_classifier-2/invocations calls" in problem
    assert attempts.traffic == {"1": 100}


def test_a_first_version_that_answers_wrong_is_taken_away(attempts: Attempts) -> None:
    attempts.server.says["1"] = "Business"
    assert "was deleted" in attempts.fail("1")
    assert attempts.server.endpoints == {}


def test_an_endpoint_that_does_not_answer_is_reverted(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.silent = 3
    assert "gave no answer to the smoke test: The endpoint is waking up" in attempts.fail("2")
    assert attempts.traffic == {"1": 100}


# Waiting.


def test_what_takes_too_long_is_said_and_finished_by_the_next_command(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.polls = 1000
    problem = attempts.fail("2", timeout_s=0.2)
    assert "was not ready within 0.2 s" in problem
    assert "nothing was reverted; version 1 (100 %) served until then. Run the same command again" in problem
    attempts.server.endpoints["news-classifier"].polls = 3
    attempts.server.sent.clear()
    assert attempts.deploy("2") == "unchanged"
    assert attempts.changes == []
    assert attempts.traffic == {"2": 100}


def test_a_new_endpoint_that_takes_too_long_is_deleted(attempts: Attempts) -> None:
    attempts.server.polls = 1000
    assert "was deleted" in attempts.fail("1", timeout_s=0.2)
    assert attempts.server.endpoints == {}


def interrupted(attempts: Attempts, *words: str) -> None:
    """Deploy, and press Ctrl-C at the first look at the new state."""

    def tell(line: str) -> None:
        attempts.told.append(line)
        if "IN_PROGRESS" in line:
            raise KeyboardInterrupt

    deployment = Deployment(Workspace(None), attempts.wanted(*words), tell, timeout_s=10, poll_s=0.01)
    deployment.run(attempts.settings.smoke_test.model_dump())


@pytest.mark.parametrize("before", [None, "1"])
def test_an_interruption_says_what_stands_and_the_same_command_goes_on(attempts: Attempts, before: str | None) -> None:
    if before:
        attempts.deploy(before)
    with pytest.raises(KeyboardInterrupt):
        interrupted(attempts, "2")
    stood = "version 1 (100 %) served" if before else "nothing was served"
    assert f"Databricks goes on with what news-classifier was told; {stood} before." in attempts.told[-1]
    attempts.server.sent.clear()
    assert attempts.deploy("2") == "unchanged"
    assert attempts.changes == []
    assert attempts.traffic == {"2": 100}


def test_an_interruption_while_reverting_says_so(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.says["2"] = "Business"

    def tell(line: str) -> None:
        attempts.told.append(line)
        if line.startswith("Reverting"):
            raise KeyboardInterrupt

    deployment = Deployment(Workspace(None), attempts.wanted("2"), tell, timeout_s=10, poll_s=0.01)
    with pytest.raises(KeyboardInterrupt):
        deployment.run(attempts.settings.smoke_test.model_dump())
    assert attempts.told[-1].startswith("Interrupted while news-classifier was brought back")


def test_an_update_of_somebody_else_is_waited_for(attempts: Attempts) -> None:
    attempts.deploy("1")
    attempts.server.begin(attempts.server.endpoints["news-classifier"], attempts.wanted("3").config)
    assert attempts.deploy("2") == "updated"
    assert attempts.told.count("news-classifier is being updated; waiting for that first.") == 1
    assert attempts.traffic == {"2": 100}


def test_an_update_that_comes_between_is_a_conflict_and_is_not_undone(attempts: Attempts) -> None:
    attempts.deploy("1")
    endpoint = attempts.server.endpoints["news-classifier"]
    with once_before(attempts.server, "PUT", lambda: attempts.server.begin(endpoint, attempts.wanted("3").config)):
        problem = attempts.fail("2")
    assert "is being updated. Somebody else is changing the endpoint" in problem
    assert "This command changed nothing" in problem
    while endpoint.state == "IN_PROGRESS":
        attempts.server.look("news-classifier")
    assert attempts.traffic == {"3": 100}
    assert attempts.deploy("2") == "updated"


def test_an_update_that_comes_after_ours_is_left_alone(attempts: Attempts) -> None:
    attempts.deploy("1")
    looks = 0
    look = attempts.server.look

    def overtaken(name: str) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3:
            attempts.server.begin(attempts.server.endpoints[name], attempts.wanted("3").config)
        return look(name)

    attempts.server.look = overtaken  # type: ignore[method-assign]
    assert "serves version 3 (100 %), which somebody else asked for meanwhile, and is left" in attempts.fail("2")
    assert attempts.traffic == {"3": 100}


def test_a_gateway_that_was_changed_before_a_version_was_refused_is_as_it_was(attempts: Attempts) -> None:
    attempts.deploy("1")
    endpoint = attempts.server.endpoints["news-classifier"]
    before = endpoint.gateway
    attempts.settings = DatabricksSettings.model_validate(attempts.settings.model_dump() | {"ai_gateway": {}})
    assert "AI Gateway is as it was before: version 1 (100 %) served." in attempts.fail("9")
    assert endpoint.gateway == before


def test_an_endpoint_that_somebody_else_created_meanwhile_is_not_deleted(attempts: Attempts) -> None:
    other = attempts.wanted("3")

    def create() -> None:
        attempts.server.create("ann", {"name": other.name, "config": other.config})

    with once_before(attempts.server, "POST", create):
        problem = attempts.fail("2")
    assert "already exists" in problem
    assert "This command created nothing." in problem
    assert "news-classifier" in attempts.server.endpoints


class once_before:
    """Do something right before the next request of a kind is served."""

    def __init__(self, server: ServingServer, method: str, act: Callable[[], object]) -> None:
        self._server, self._method, self._act = server, method, act

    def __enter__(self) -> None:
        dispatch, lock = self._server.dispatch, threading.Lock()

        def between(method: str, path: str, user: str, body: Any, raw: bytes) -> Any:
            with lock:
                if method == self._method:
                    self._server.dispatch = dispatch  # type: ignore[method-assign]
                    self._act()
            return dispatch(method, path, user, body, raw)

        self._server.dispatch = between  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        pass


# What Databricks refuses.


def test_a_version_that_is_not_there(attempts: Attempts) -> None:
    problem = attempts.fail("9")
    assert "Model version 9 of 'main.news.news_classifier' does not exist" in problem
    assert "This command created nothing." in problem
    attempts.deploy("1")
    assert "This command changed nothing: version 1 (100 %) served." in attempts.fail("9")


def test_a_secret_that_is_not_there(attempts: Attempts) -> None:
    attempts.server.secrets.clear()
    assert "secret news-classifier-secrets/openai-api-key not found" in attempts.fail("1", provider="openai")


def test_who_may_not_manage_the_endpoint(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts.deploy("1")
    attempts.server.catalog.grant("bob", "main", "USE_CATALOG")
    sign_in(attempts.server, "bob", monkeypatch)
    problem = attempts.fail("2")
    assert "bob does not have CAN MANAGE" in problem
    assert "It takes CAN MANAGE on the endpoint, EXECUTE on the model and READ on the secret scope." in problem
    assert attempts.traffic == {"1": 100}


def test_a_workspace_that_cannot_be_reached_is_no_endpoint_that_is_not_there(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.unity_catalog.WORKSPACE_TIMEOUT_S", 1)
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    with pytest.raises(DeploymentError, match="Could not read the endpoint 'news-classifier'.*Check DATABRICKS_HOST"):
        attempts.deployment("1").requests()


def test_an_endpoint_that_is_deleted_while_it_comes_up(attempts: Attempts) -> None:
    attempts.server.polls = 1000
    looks = 0
    look = attempts.server.look

    def once_there(name: str) -> Any:
        nonlocal looks
        looks += 1
        if looks > 3:
            attempts.server.endpoints.pop(name, None)
        return look(name)

    attempts.server.look = once_there  # type: ignore[method-assign]
    started = time.monotonic()
    assert "does not exist" in attempts.fail("1")
    assert time.monotonic() - started < 5  # and not only when the time is up


def test_a_look_that_fails_is_waited_out(attempts: Attempts) -> None:
    attempts.server.polls = 4
    looks = 0
    look = attempts.server.look

    def sometimes(name: str) -> Any:
        nonlocal looks
        looks += 1
        if looks in (3, 4):
            raise RefusedError("INTERNAL_ERROR", "Something broke.")
        return look(name)

    attempts.server.look = sometimes  # type: ignore[method-assign]
    assert attempts.deploy("1") == "created"
    assert any("Databricks does not answer" in line for line in attempts.told)


def test_the_server_keeps_the_rules_that_the_product_never_meets(attempts: Attempts) -> None:
    """So that a product which begins to break one of them fails here, and not at a customer's."""
    body = {"name": "e", "config": attempts.wanted("1", "2").config}
    workspace = Workspace(None)
    for broken in (
        {**body, "confg": {}},
        {**body, "name": "a b"},
        {**body, "config": {**body["config"], "served_entity": []}},
        with_entity(body, workload="Small"),
        with_entity(body, workload_size="Huge"),
        with_entity(body, scale_to_zero_enabled="true"),
        with_entity(body, entity_version=1),
        with_entity(body, name="news_classifier-2"),
        with_route(body, traffic_percentage=80),
        with_route(body, traffic_percentage="90"),
        with_route(body, served_entity_name="other"),
        {**body, "ai_gateway": {"inference_table": {}}},
        {**body, "ai_gateway": {"inference_table_config": {"enabled": True}}},
        {**body, "ai_gateway": {"rate_limits": [{"calls": 1, "renewal_period": "hour"}]}},
    ):
        with pytest.raises(RefusedError):
            attempts.server.create("ann", broken)
    assert attempts.server.endpoints == {}
    assert workspace.endpoint("e") is None


def with_entity(body: dict[str, Any], **fields: object) -> dict[str, Any]:
    first, *rest = body["config"]["served_entities"]
    return {**body, "config": {**body["config"], "served_entities": [{**first, **fields}, *rest]}}


def with_route(body: dict[str, Any], **fields: object) -> dict[str, Any]:
    first, *rest = body["config"]["traffic_config"]["routes"]
    return {**body, "config": {**body["config"], "traffic_config": {"routes": [{**first, **fields}, *rest]}}}


# databricks-agents.

AGENTS = '''
"""databricks-agents as far as it goes here: its signature, and what it leaves on the endpoint."""
from databricks.sdk import WorkspaceClient

def deploy(model_name, model_version, scale_to_zero=False, environment_vars=None, instance_profile_arn=None, tags=None,
           workload_size="Small", endpoint_name=None, budget_policy_id=None, description=None,
           deploy_feedback_model=False, usage_policy_id=None):
    name = model_name.replace(".", "-") + "_" + str(model_version)
    entity = {"name": name, "entity_name": model_name, "entity_version": str(model_version),
              "workload_size": workload_size, "scale_to_zero_enabled": scale_to_zero,
              "environment_vars": environment_vars}
    config = {"served_entities": [entity],
              "traffic_config": {"routes": [{"served_entity_name": name, "traffic_percentage": 100}]}}
    api, path = WorkspaceClient().api_client, "/api/2.0/serving-endpoints"
    there = [one.name for one in WorkspaceClient().serving_endpoints.list()]
    if endpoint_name in there:
        return api.do("PUT", f"{path}/{endpoint_name}/config", body=config)
    return api.do("POST", path, body={"name": endpoint_name, "config": config})
'''


def test_databricks_agents_deploys_and_is_tried_and_reverted_alike(
    attempts: Attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import databricks

    (tmp_path / "agents.py").write_text(AGENTS)
    monkeypatch.setattr(databricks, "__path__", [*databricks.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "databricks.agents", raising=False)
    try:
        assert attempts.deploy("1", with_agents=True) == "created"
        assert attempts.deploy("2", with_agents=True) == "updated"
        assert attempts.deploy("2", with_agents=True) == "unchanged"
        attempts.server.says["3"] = "Business"
        assert "Reverted: version 2 (100 %) served again." in attempts.fail("3", with_agents=True)
        assert attempts.traffic == {"2": 100}
    finally:
        sys.modules.pop("databricks.agents", None)


def test_databricks_agents_that_is_not_installed_is_named(attempts: Attempts) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'news-classifier-agent\[databricks\]'"):
        attempts.deploy("1", with_agents=True)
