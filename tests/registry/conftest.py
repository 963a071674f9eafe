"""Stores for the registry's tests: one with a small model in it, and a workspace with Unity Catalog."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.stores import Logged, log_echo, sign_in_as_maker
from tests.unity_catalog_server import UnityCatalogServer


@pytest.fixture(scope="session")
def _echo_store(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> tuple[Path, Logged]:
    """A store with one small model in it, copied for each test because logging one takes seconds."""
    folder = tmp_path_factory.mktemp("echo")
    path = Path(shutil.copy(_empty_store, folder / "mlflow.db"))
    return path, log_echo(f"sqlite:///{path}", folder)


@pytest.fixture
def echo(workspace: Path, _echo_store: tuple[Path, Logged], monkeypatch: pytest.MonkeyPatch) -> Logged:
    """A small model in a store of this test's own."""
    path, logged = _echo_store
    shutil.copy(path, workspace / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    return logged


@pytest.fixture
def unity_catalog(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnityCatalogServer]:
    """A workspace where ann, who is signed in, may make models in main.news."""
    with UnityCatalogServer() as server:
        sign_in_as_maker(server, monkeypatch)
        yield server
