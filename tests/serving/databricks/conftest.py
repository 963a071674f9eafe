"""A workspace with Model Serving, and the shipped settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.settings import read_settings
from serving.databricks.settings import DatabricksSettings
from tests.conftest import ROOT
from tests.registry.conftest import _echo_store, echo  # noqa: F401  the same small model
from tests.registry.stores import NAME, sign_in_as_maker
from tests.serving_endpoints_server import ServingServer
from tests.unity_catalog_rules import Model, ModelVersion


@pytest.fixture
def server(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServingServer]:
    """A workspace where ann, who is signed in, may do everything that it takes."""
    with ServingServer() as server:
        sign_in_as_maker(server, monkeypatch)
        yield server


@pytest.fixture
def versions(server: ServingServer) -> ServingServer:
    """The same with four whole versions of the model."""
    numbers = ("1", "2", "3", "4")
    server.catalog.models[NAME] = Model(versions={one: ModelVersion(one, {}, {}, "READY") for one in numbers})
    server.catalog.owners[NAME] = "ann"
    return server


@pytest.fixture
def settings() -> DatabricksSettings:
    return read_settings(ROOT / "config" / "databricks.yaml", DatabricksSettings)
