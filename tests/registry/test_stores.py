"""What this product asks of a registry holds on SQLite, over HTTP on a real MLflow server, and in Unity Catalog."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from agent.errors import RegistryError
from registry.versions import TAG_CHARS, Snapshot
from tests.registry.servers import mlflow_server
from tests.registry.stores import NAME, Logged, Place, log_echo, open_place

KINDS = ["sqlite", "server", "unity catalog"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> Iterator[tuple[str, Logged]]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, f"sqlite:///{shutil.copy(_empty_store, folder / 'mlflow.db')}") as url:
        yield url, log_echo(url, folder)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An empty registry; the server's, which the tests share, is emptied afterwards."""
    if request.param == "server":
        url, logged = request.getfixturevalue("server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        place = open_place(logged)
        yield place
        if place.client.search_registered_models():
            place.client.delete_registered_model(NAME)
    elif request.param == "sqlite":
        yield open_place(request.getfixturevalue("echo"))
    else:
        request.getfixturevalue("unity_catalog")
        yield open_place(request.getfixturevalue("echo"))


def test_a_model_that_is_not_there_has_no_versions(place: Place) -> None:
    assert place.registry.snapshot() == Snapshot((), {})


def test_versions_are_numbered_and_carry_tags_and_run(place: Place) -> None:
    numbers = [place.register(agent=f"a{i}", category_accuracy="0.91") for i in range(5)]
    assert numbers == ["1", "2", "3", "4", "5"]
    versions = place.registry.snapshot().versions
    assert [version.number for version in versions] == ["5", "4", "3", "2", "1"]
    assert [version.tags for version in versions][0] == {"agent": "a4", "category_accuracy": "0.91"}
    assert {version.run_id for version in versions} == {place.logged.run_id}
    assert versions[0].metrics == {"category_accuracy": 0.91}


def test_aliases_move_are_shared_and_go(place: Place) -> None:
    for _ in range(2):
        place.register()
    registry = place.registry
    registry.set_alias("champion", "1")
    registry.set_alias("champion", "2")
    registry.set_alias("defeated", "1")
    registry.set_alias("candidate", "1")
    snapshot = registry.snapshot()
    assert snapshot.aliases == {"champion": "2", "defeated": "1", "candidate": "1"}
    assert [set(version.aliases) for version in snapshot.versions] == [{"champion"}, {"defeated", "candidate"}]
    registry.delete_alias("defeated")
    registry.delete_alias("defeated")  # an interrupted move is finished by doing it again
    assert registry.snapshot().aliases == {"champion": "2", "candidate": "1"}


def test_tags_are_set_replaced_and_removed(place: Place) -> None:
    place.register(track="A")
    place.registry.set_tag("1", "track", "B")
    place.registry.set_tag("1", "validation_reason", "looks good ")
    assert place.registry.snapshot().versions[0].tags == {"track": "B", "validation_reason": "looks good"}
    for _ in range(2):
        place.registry.delete_tag("1", "track")
    assert place.registry.snapshot().versions[0].tags == {"validation_reason": "looks good"}


def test_a_long_reason_is_cut_where_no_store_minds(place: Place) -> None:
    """Regression: a reason cut right after a word ended with a space, which Unity Catalog refuses."""
    reason = "x" * (TAG_CHARS - 1) + " and more" * 200
    place.register(validation_reason=reason)
    place.registry.set_tag("1", "why", reason)
    assert place.registry.snapshot().versions[0].tags == dict.fromkeys(("validation_reason", "why"), "x" * 249)


def test_a_description_is_written_and_replaced(place: Place) -> None:
    place.register()
    assert place.registry.snapshot().versions[0].description == ""
    for text in ("first", "Line one.\n\n| a | b |\n" * 100):
        place.registry.describe("1", text)
        assert place.registry.snapshot().versions[0].description == text


def test_a_deleted_version_takes_its_aliases_along(place: Place) -> None:
    for _ in range(2):
        place.register()
    place.registry.set_alias("champion", "1")
    place.client.delete_model_version(NAME, "1")
    snapshot = place.registry.snapshot()
    assert [version.number for version in snapshot.versions] == ["2"]
    assert snapshot.holder("champion") is None


def test_what_is_not_there_gets_no_alias(place: Place) -> None:
    place.register()
    with pytest.raises(RegistryError, match=f"Could not set alias 'champion' of '{NAME}' to version 7"):
        place.registry.set_alias("champion", "7")
    assert place.registry.snapshot().aliases == {}


def test_the_champion_is_loaded_from_the_registry(place: Place) -> None:
    place.registry.set_alias("champion", place.register())
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(["a"]) == ["a"]
    with pytest.raises(mlflow.MlflowException):
        mlflow.pyfunc.load_model(f"models:/{NAME}@challenger")
