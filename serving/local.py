"""`news-classifier serve local`: `mlflow models serve` on the champion, set up as well as MLflow lets it be."""

import os
import sys
from pathlib import Path

import click
from mlflow.tracking import MlflowClient

from agent.champion import CHAMPION, registered_model_name
from agent.errors import RegistryError
from eval.console import err
from eval.store import open_store
from registry.versions import Registry
from serving.app.place import listen

HOST = "127.0.0.1"


@click.command("local")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5001, show_default=True, help="Port on the loopback address."
)
@click.option("--alias", default=CHAMPION, show_default=True, help="The alias to serve.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes, each with its own model."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1),
    default=120,
    show_default=True,
    help="Seconds after which a request gets 504.",
)
@click.option(
    "--trace-sampling",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    envvar="MLFLOW_TRACE_SAMPLING_RATIO",
    help="Share of the requests that leave a trace, article included, in MLflow's store.",
)
def local(port: int, alias: str, workers: int, timeout_s: int, trace_sampling: float) -> None:
    """Serve with `mlflow models serve` on 127.0.0.1."""
    listen(HOST, port, "--port").close()  # MLflow would say it with a traceback
    store = open_store()
    name = registered_model_name()
    if Registry(name, MlflowClient()).snapshot().holder(alias) is None:
        raise RegistryError(f"{name} has no {alias!r}. Make one first: news-classifier run.")
    options = {
        "--model-uri": f"models:/{name}@{alias}",
        "--host": HOST,
        "--port": port,
        "--workers": workers,
        "--timeout": timeout_s,
        "--env-manager": "local",
    }
    command = ["models", "serve", *(str(part) for option in options.items() for part in option)]
    err.print(f"mlflow {' '.join(command)}", soft_wrap=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # it starts uvicorn by name
        "MLFLOW_TRACE_SAMPLING_RATIO": str(trace_sampling),
        "MLFLOW_TRACKING_URI": store.tracking_uri,
        "MLFLOW_REGISTRY_URI": store.registry_uri,
    }
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *command], os.environ | environment)
