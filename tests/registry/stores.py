"""The stores that a registry can be kept in, each with a model that was really logged."""

from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from eval.store import open_store
from registry.versions import Registry
from tests.unity_catalog_server import UnityCatalogServer

NAME = "main.news.news_classifier"
MODEL_CODE = """
import mlflow


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input


mlflow.models.set_model(Echo())
"""


class Logged(NamedTuple):
    """A model in the tracking store."""

    uri: str
    run_id: str


class Place(NamedTuple):
    """A registry, and what it is filled from."""

    registry: Registry
    client: MlflowClient
    logged: Logged

    def register(self, **tags: str) -> str:
        return self.registry.create_version(self.logged.uri, self.logged.run_id, tags)


def log_echo(tracking_uri: str, folder: Path, *, signature: bool = True) -> Logged:
    """Log a small model, whose type hints become its signature, into a store."""
    code = folder / "echo.py"
    code.write_text(MODEL_CODE if signature else MODEL_CODE.replace(": list[str]", "").replace(" -> list[str]", ""))
    mlflow.set_tracking_uri(tracking_uri)
    where = None if tracking_uri.startswith("http") else (folder / "artifacts").as_uri()
    experiment_id = mlflow.create_experiment(f"echo {signature}", artifact_location=where)
    with mlflow.start_run(experiment_id=experiment_id) as run:
        uri = mlflow.pyfunc.log_model(name="echo", python_model=str(code), pip_requirements=["mlflow"]).model_uri
    return Logged(uri, run.info.run_id)


def open_place(logged: Logged) -> Place:
    """The registry that the environment names."""
    open_store()
    client = MlflowClient()
    return Place(Registry(NAME, client), client, logged)


def sign_in_as_maker(server: UnityCatalogServer, environment: pytest.MonkeyPatch) -> None:
    """Be ann from here on, who may make models in main.news, and make them there."""
    server.catalog.grant("ann", "main", "USE_CATALOG")
    server.catalog.grant("ann", "main.news", "USE_SCHEMA", "CREATE_MODEL")
    sign_in(server, "ann", environment)
    environment.setenv("UC_CATALOG", "main")
    environment.setenv("UC_SCHEMA", "news")


def sign_in(server: UnityCatalogServer, user: str, environment: pytest.MonkeyPatch) -> None:
    """Be a user of the workspace from here on."""
    environment.setenv("DATABRICKS_HOST", server.url)
    environment.setenv("DATABRICKS_TOKEN", f"token-of-{user}")
    environment.setenv("MLFLOW_REGISTRY_URI", "databricks-uc")
