"""The registry under Unity Catalog's rules, on a workspace on loopback that enforces them over MLflow's own wire."""

import os
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent.champion import load_champion, registered_model_name
from agent.config import AgentConfig
from agent.errors import RegistryError
from agent.prompt import PromptTemplate
from agent.settings import read_settings
from eval.logged_model import log_agent
from eval.prompts import ALIAS, prompt_uri, register_prompt
from eval.store import open_store
from registry.gates.config import GatesConfig
from registry.ledger import Ledger
from registry.promotion import Consent, Promoter
from registry.register import register
from registry.rollback import rollback
from registry.unity_catalog import check_grants, is_unity_catalog
from registry.versions import Registry
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.stores import NAME, Logged, Place, log_echo, open_place, sign_in
from tests.unity_catalog_server import UnityCatalogServer

GATES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
NO_MODEL = f"RESOURCE_DOES_NOT_EXIST: Registered Model '{NAME}' does not exist."


@pytest.fixture
def place(echo: Logged, unity_catalog: UnityCatalogServer) -> Place:
    """A registry in Unity Catalog; the runs are in SQLite."""
    return open_place(echo)


def as_user(user: str, server: UnityCatalogServer, environment: pytest.MonkeyPatch, *privileges: str) -> Registry:
    """Sign in as somebody who reaches the schema and has these privileges on the model."""
    server.catalog.grant(user, "main", "USE_CATALOG")
    server.catalog.grant(user, "main.news", "USE_SCHEMA")
    server.catalog.grant(user, NAME, *privileges)
    sign_in(server, user, environment)
    return Registry(NAME, MlflowClient())


# What the product asks is never refused.


def test_a_life_asks_nothing_that_unity_catalog_refuses(store: MlflowClient, unity_catalog: UnityCatalogServer) -> None:
    """Registered, challenged, promoted, rolled back."""
    open_store()
    assert (is_unity_catalog(), registered_model_name()) == (True, NAME)
    client, wrong = MlflowClient(), range(12)
    first = log_evaluation(0.92, wrong=range(32))
    assert register(first, GATES, remeasure=unexpected).alias == "champion"
    assert register(log_evaluation(0.97, wrong=wrong, name="b"), GATES, remeasure=unexpected).alias == "challenger"
    assert register(log_evaluation(0.97, wrong=wrong, name="b"), GATES, remeasure=unexpected).version is None
    promoter = Promoter(client, GATES, unexpected)
    promoter.promote(promoter.review(), Consent("ann", "hash", "better"))
    registry = Registry(NAME, client)
    assert registry.snapshot().aliases == {"champion": "2", "defeated": "1"}
    rollback(client, Consent("ann", "terminal", "second thoughts"))
    snapshot = registry.snapshot()
    assert snapshot.aliases == {"champion": "1", "defeated": "2"}
    assert [version.tags["production_ready"] for version in snapshot.versions] == ["true", "true"]
    assert snapshot.versions[1].run_id == first.run_id
    assert set(unity_catalog.refusals) == {NO_MODEL}


def test_who_may_not_move_aliases_decides_nothing(
    store: MlflowClient, unity_catalog: UnityCatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store()
    register(log_evaluation(0.92, wrong=range(32)), GATES, remeasure=unexpected)
    register(log_evaluation(0.97, wrong=range(12)), GATES, remeasure=unexpected)
    as_user("bob", unity_catalog, monkeypatch, "EXECUTE", "APPLY_TAG")
    promoter = Promoter(MlflowClient(), GATES, unexpected)
    with pytest.raises(RegistryError, match="bob lacks MANAGE"):
        promoter.promote(promoter.review(), Consent("bob", "hash", "better"))
    assert len(Ledger(NAME, MlflowClient()).read().entries) == 2
    assert set(unity_catalog.refusals) == {NO_MODEL}


def test_the_champion_answers_from_unity_catalog(
    store: MlflowClient, agent_config: AgentConfig, unity_catalog: UnityCatalogServer
) -> None:
    open_store()
    with mlflow.start_run() as run:
        uri = log_agent(agent_config).model_uri
    registry = Registry(NAME, MlflowClient())
    registry.set_alias("champion", registry.create_version(uri, run.info.run_id, {}))
    with load_champion() as champion:
        assert champion.classify(title="Rowers win gold", content="They beat the champions.").category != "Unknown"


def test_a_prompt_is_registered_once_under_a_name_of_three_levels(
    agent_config: AgentConfig, place: Place, unity_catalog: UnityCatalogServer
) -> None:
    """Regression: the prompt's own name has no catalog, and the whole evaluation was not logged for it."""
    unity_catalog.catalog.grant("ann", "main.news", "CREATE_FUNCTION")
    template = read_settings(ROOT / "config" / "prompts" / "zero-shot.yaml", PromptTemplate)
    config = agent_config.model_copy(update={"prompt": template})
    for _ in range(2):
        known = register_prompt(config)
        assert prompt_uri(known) == "prompts:/main.news.news_classifier_zero_shot/1"
    assert MlflowClient().get_prompt_version_by_alias("main.news.news_classifier_zero_shot", ALIAS).version == 1
    assert set(unity_catalog.refusals) == {
        "RESOURCE_DOES_NOT_EXIST: Prompt 'main.news.news_classifier_zero_shot' does not exist."
    }


@pytest.mark.parametrize("sdk_files", [False, True], ids=["presigned", "files API"])
def test_files_go_both_ways(place: Place, unity_catalog: UnityCatalogServer, sdk_files: bool) -> None:
    unity_catalog.sdk_files = sdk_files
    place.registry.set_alias("champion", place.register())
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(["a"]) == ["a"]
    assert any("fs/files" in call for call in unity_catalog.calls) == sdk_files


def test_a_registration_leaves_the_logged_model_alone(place: Place) -> None:
    """Regression: where the store's files have a `file:` address, MLflow deleted the model once it was uploaded."""
    assert place.client.get_logged_model(place.logged.uri.rpartition("/")[2]).artifact_location.startswith("file:")
    assert [place.register(), place.register()] == ["1", "2"]
    assert mlflow.pyfunc.load_model(place.logged.uri).predict(["a"]) == ["a"]


# What Unity Catalog does otherwise.


def test_an_upload_that_broke_leaves_a_version_that_counts_for_nothing(
    place: Place, unity_catalog: UnityCatalogServer
) -> None:
    """Regression: such a version could become champion, and stood in the way of the same candidate."""
    unity_catalog.uploads_fail = True
    with pytest.raises(RegistryError, match="Could not register"):
        place.register(agent="a")
    assert place.client.get_model_version(NAME, "1").status == "PENDING_REGISTRATION"
    assert place.registry.snapshot().versions == ()
    unity_catalog.uploads_fail = False
    assert place.register(agent="a") == "2"
    assert [version.number for version in place.registry.snapshot().versions] == ["2"]
    place.registry.set_alias("champion", "1")  # by somebody else
    with pytest.raises(RegistryError, match="missing or not ready"):
        place.registry.snapshot().holder("champion")


def test_a_model_without_signature_is_not_registered(place: Place, tmp_path: Path) -> None:
    unsigned = log_echo(os.environ["MLFLOW_TRACKING_URI"], tmp_path, signature=False)
    with pytest.raises(RegistryError, match="did not contain any signature"):
        place.registry.create_version(unsigned.uri, unsigned.run_id, {})
    assert place.registry.snapshot().versions == ()


def test_a_name_of_one_level_is_refused(place: Place) -> None:
    with pytest.raises(RegistryError, match="specify all three levels"):
        Registry("news_classifier", place.client).snapshot()
    with pytest.raises(RegistryError, match="Set UC_CATALOG and UC_SCHEMA"):
        check_grants("news_classifier")


def test_the_server_keeps_the_rules_that_the_product_never_meets(place: Place) -> None:
    """So that a product which begins to break one of them fails here, and not at a customer's."""
    place.register()
    client = place.client
    for call in (
        lambda: client.transition_model_version_stage(NAME, "1", "Production"),
        lambda: client.get_latest_versions(NAME),
        lambda: client.search_registered_models("name = 'x'"),
        lambda: client.search_registered_models(order_by=["name"]),
        lambda: client.search_model_versions(f"name = '{NAME}'", order_by=["version_number DESC"]),
        lambda: client.search_model_versions(f"name LIKE '{NAME}'"),
        lambda: client.search_model_versions("tags.agent = 'a'"),
        lambda: client.set_model_version_tag(NAME, "1", "a.b", "c"),
        lambda: client.set_model_version_tag(NAME, "1", "a" * 256, "c"),
        lambda: client.set_model_version_tag(NAME, "1", "a", "c" * 1001),
        lambda: client.set_model_version_tag(NAME, "1", "a", "c "),
        lambda: client.set_registered_model_alias(NAME, "latest", "1"),
        lambda: client.update_model_version(NAME, "1", "a" * 65_536),
    ):
        with pytest.raises(MlflowException):
            call()
    first = client.search_model_versions(f"name = '{NAME}'")
    assert (list(first), bool(first.token)) == ([], True)  # a page may be empty although more follow
    [found] = client.search_model_versions(f"name = '{NAME}'", page_token=first.token)
    assert not hasattr(found.tags, "items")


# Who may do what, and what is said about it.


READ, TAG, ADD = "EXECUTE", "APPLY_TAG", "CREATE_MODEL_VERSION"
MAY = [
    ((), set()),
    ((READ,), {"snapshot"}),
    ((READ, TAG), {"snapshot", "tag", "untag"}),
    ((READ, ADD), {"snapshot", "register"}),
    ((READ, TAG, ADD), {"snapshot", "tag", "untag", "register"}),
    (("ALL_PRIVILEGES",), {"snapshot", "tag", "untag", "register"}),
    ((READ, TAG, "MANAGE"), {"snapshot", "tag", "untag", "register", "alias", "unalias", "describe"}),
]


@pytest.mark.parametrize(("privileges", "allowed"), MAY, ids=["+".join(given) or "none" for given, _ in MAY])
def test_each_privilege_allows_what_the_documents_say(
    place: Place,
    unity_catalog: UnityCatalogServer,
    monkeypatch: pytest.MonkeyPatch,
    privileges: tuple[str, ...],
    allowed: set[str],
) -> None:
    place.register()
    registry = as_user("bob", unity_catalog, monkeypatch, *privileges)
    done, refused = set(), []
    for name, call in {
        "snapshot": registry.snapshot,
        "tag": lambda: registry.set_tag("1", "a", "b"),
        "untag": lambda: registry.delete_tag("1", "a"),
        "register": lambda: registry.create_version(*place.logged, {}),
        "alias": lambda: registry.set_alias("champion", "1"),
        "unalias": lambda: registry.delete_alias("champion"),
        "describe": lambda: registry.describe("1", "text"),
    }.items():
        try:
            call()
            done.add(name)
        except RegistryError as err:
            refused.append(str(err))
    assert done == allowed
    assert all("PERMISSION_DENIED" in said for said in refused)


def test_a_refused_move_says_who_owns_the_model_and_how_the_rest_is_granted(
    place: Place, unity_catalog: UnityCatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.register()
    registry = as_user("bob", unity_catalog, monkeypatch, "EXECUTE")
    with pytest.raises(RegistryError) as refused:
        registry.set_alias("champion", "1")
    assert str(refused.value) == (
        f"Could not set alias 'champion' of '{NAME}' to version 1: PERMISSION_DENIED: User does not have MANAGE on "
        f"Routine or Model '{NAME}'. {NAME} belongs to ann, and bob lacks APPLY TAG, MANAGE. "
        f"Let ann run: GRANT APPLY TAG, MANAGE ON FUNCTION {NAME} TO `bob`; "
        f"or make a group that they are in its owner: databricks registered-models update {NAME} --owner GROUP."
    )
    unity_catalog.catalog.grants.clear()
    with pytest.raises(RegistryError, match="Let its owner run: GRANT USE CATALOG ON CATALOG main TO `bob`"):
        registry.snapshot()


def test_grants_are_looked_at_before_anything_moves(
    place: Place, unity_catalog: UnityCatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_grants(NAME)  # ann may make the model
    place.register()
    check_grants(NAME)  # and owns it
    as_user("bob", unity_catalog, monkeypatch)
    with pytest.raises(RegistryError, match=f"GRANT EXECUTE, APPLY TAG, MANAGE ON FUNCTION {NAME} TO `bob`"):
        check_grants(NAME)
    unity_catalog.catalog.grant("bob", NAME, "ALL_PRIVILEGES")
    with pytest.raises(RegistryError, match="bob lacks MANAGE"):
        check_grants(NAME)
    unity_catalog.catalog.groups["bob"] = ["press"]
    unity_catalog.catalog.grant("press", "main.news", "MANAGE")  # inherited, and through a group
    check_grants(NAME)
    as_user("eve", unity_catalog, monkeypatch)
    unity_catalog.catalog.owners[NAME] = "editors"
    unity_catalog.catalog.groups["eve"] = ["editors"]
    check_grants(NAME)
    as_user("root", unity_catalog, monkeypatch)
    unity_catalog.catalog.administrator = "root"
    check_grants(NAME)


def test_a_workspace_that_does_not_answer_is_soon_given_up(
    echo: Logged, unity_catalog: UnityCatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_place(echo)
    monkeypatch.setattr("registry.unity_catalog.WORKSPACE_TIMEOUT_S", 1)
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(RegistryError, match="the workspace cannot be asked.*Check DATABRICKS_HOST"):
        check_grants(NAME)
    assert time.monotonic() - started < 20
