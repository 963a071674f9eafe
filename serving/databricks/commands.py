"""`news-classifier serve databricks`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
import mlflow
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.errors import ConfigError, RegistryError
from agent.redaction import redact
from agent.settings import parse_settings, read_settings
from eval.console import err, json_option, out, path_option, print_json
from eval.store import open_store
from registry.unity_catalog import is_unity_catalog
from registry.versions import CHALLENGER, CHAMPION, Registry, Snapshot, Version
from serving.databricks.deployment import Deployment, Outcome, planned
from serving.databricks.endpoint import Endpoint, Request, wanted_endpoint
from serving.databricks.present import shares
from serving.databricks.settings import SETTINGS_FILE, DatabricksSettings
from serving.databricks.workspace import Workspace

TIMEOUT_S = 1800


class Chosen(NamedTuple):
    """Who gets traffic."""

    champion: Version
    challenger: Version | None
    percent: int


@click.command("databricks")
@click.option(
    "--challenger",
    "percent",
    type=click.IntRange(0, 99),
    metavar="PERCENT",
    help="Traffic of the challenger, 0 for none; what config/databricks.yaml says unless given.",
)
@click.option("--name", help="Name of the endpoint; what config/databricks.yaml says unless given.")
@click.option("--dry-run", is_flag=True, help="Show the exact requests and change nothing.")
@click.option("--with-agents", is_flag=True, help="Deploy with databricks-agents, which gives the champion everything.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1),
    default=TIMEOUT_S,
    show_default=True,
    help="Seconds that a configuration may take to come up.",
)
@path_option("--settings", "settings_file", SETTINGS_FILE, "What the endpoint should be.")
@json_option
def databricks(
    percent: int | None,
    name: str | None,
    dry_run: bool,
    with_agents: bool,
    timeout_s: int,
    settings_file: Path,
    as_json: bool,
) -> None:
    """Create or update the serving endpoint of the champion, try it, and revert it if it fails.

    Exit codes: 0 it serves what was asked; 2 wrong input; 3 it could not be done, and the message says what stands.
    """
    settings = read_settings(settings_file, DatabricksSettings)
    if name:
        settings = parse_settings(settings.model_dump() | {"endpoint": name}, DatabricksSettings, "--name")
    if with_agents and percent:
        raise click.UsageError("--with-agents serves the champion alone. Leave --challenger out.")
    open_store()
    model = registered_model_name()
    snapshot = Registry(model, MlflowClient()).snapshot()
    chosen = choose(snapshot, 0 if with_agents else percent, settings, model)
    wanted = wanted_endpoint(model, *chosen, settings)
    err.print(f"{wanted.name}: {shares(wanted.traffic)} of {model}", soft_wrap=True)
    if not is_unity_catalog():
        if not dry_run:
            raise ConfigError(
                f"Databricks serves models of Unity Catalog, and the registry is {mlflow.get_registry_uri()!r}. "
                "Set MLFLOW_REGISTRY_URI=databricks-uc, UC_CATALOG and UC_SCHEMA; --dry-run works without."
            )
        err.print(
            "No workspace was asked, as the registry is not Unity Catalog. This makes a new endpoint; with UC_CATALOG "
            "and UC_SCHEMA the model has its name of three levels, and AI Gateway's table its place.",
            soft_wrap=True,
        )
        show_requests(wanted, planned(wanted, None, with_agents=with_agents), as_json)
        return
    workspace = Workspace(urlsplit(mlflow.get_registry_uri()).netloc or None)
    deployment = Deployment(
        workspace,
        wanted,
        lambda line: err.print(line, soft_wrap=True),
        timeout_s=timeout_s,
        with_agents=with_agents,
    )
    if dry_run:
        show_requests(wanted, deployment.requests(), as_json)
        return
    outcome = deployment.run(settings.smoke_test.model_dump())
    report(wanted, f"{workspace.host}/serving-endpoints/{wanted.name}/invocations", outcome, as_json)


def choose(snapshot: Snapshot, percent: int | None, settings: DatabricksSettings, model: str) -> Chosen:
    """Champion, and the challenger where it is to have traffic.

    Raises:
        RegistryError: there is no champion, or no challenger although one was asked for.
    """
    champion, challenger = snapshot.holder(CHAMPION), snapshot.holder(CHALLENGER)
    if champion is None:
        raise RegistryError(f"{model} has no champion to serve. Make one first: news-classifier run.")
    if percent and challenger is None:
        raise RegistryError(f"{model} has no challenger to give {percent} % to. Leave --challenger out.")
    share = settings.challenger_percent if percent is None else percent
    return Chosen(champion, challenger if share else None, share)


def show_requests(wanted: Endpoint, requests: Sequence[Request], as_json: bool) -> None:
    """Print what would be sent; references to secrets are shown, because they are no secrets."""
    if as_json:
        shown = [request._asdict() for request in requests]
        sys.stdout.write(redact(json.dumps({"endpoint": wanted.name, "requests": shown})) + "\n")
        return
    for request in requests:
        sys.stdout.write(f"{request.method} {request.path}\n{redact(json.dumps(request.body, indent=2))}\n")
    if not requests:
        out.print(f"Nothing to send: {wanted.name} serves {shares(wanted.traffic)} already.", soft_wrap=True)


def report(wanted: Endpoint, url: str, outcome: Outcome, as_json: bool) -> None:
    """Print what the deployment did."""
    if as_json:
        served = [{"version": version, "percent": percent} for (_, version), percent in wanted.traffic.items()]
        answers = [answer._asdict() for answer in outcome.answers]
        found = {"endpoint": wanted.name, "url": url, "action": outcome.action, "served": served}
        print_json({**found, "smoke_test": answers, "seconds": round(outcome.seconds, 1)})
        return
    out.print(f"{wanted.name} {outcome.action}: {shares(wanted.traffic)}, tried and answering at {url}", soft_wrap=True)
