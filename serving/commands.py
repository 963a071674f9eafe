"""`news-classifier serve`: the champion, exposed."""

import os
import sys
from pathlib import Path

import click
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.errors import RegistryError
from eval.console import Group, err
from eval.store import open_store
from registry.versions import CHAMPION, Registry


@click.group(
    "serve",
    cls=Group,
    lazy={
        "app": "serving.app.commands:app",
        "databricks": "serving.databricks.commands:databricks",
        "docker": "serving.docker.commands:docker",
    },
)
def commands() -> None:
    """Expose the champion."""


@commands.command("local")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5001, show_default=True, help="Port on the loopback address."
)
@click.option("--alias", default=CHAMPION, show_default=True, help="The alias to serve.")
def local(port: int, alias: str) -> None:
    """Serve with `mlflow models serve` on 127.0.0.1."""
    store = open_store()
    name = registered_model_name()
    if Registry(name, MlflowClient()).snapshot().holder(alias) is None:
        raise RegistryError(f"{name} has no {alias!r}. Make one first: news-classifier run.")
    command = [
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        f"models:/{name}@{alias}",
        "--port",
        str(port),
        "--env-manager",
        "local",
    ]
    err.print(f"mlflow {' '.join(command[2:])}", soft_wrap=True)
    path = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    }  # mlflow starts uvicorn by name
    tracing = {"MLFLOW_TRACE_SAMPLING_RATIO": os.environ.get("MLFLOW_TRACE_SAMPLING_RATIO", "0")}
    addresses = {"MLFLOW_TRACKING_URI": store.tracking_uri, "MLFLOW_REGISTRY_URI": store.registry_uri}
    os.execve(sys.executable, [sys.executable, *command], os.environ | path | addresses | tracing)
