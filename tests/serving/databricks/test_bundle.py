"""databricks.yml: fields that Databricks knows, commands that there are, and the job run task by task on loopback.

`make bundle-check` reads the file with Databricks' own classes besides.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from databricks.sdk.service.apps import App, AppDeployment
from databricks.sdk.service.catalog import PrivilegeAssignment, RegisteredModelInfo
from databricks.sdk.service.jobs import JobSettings
from databricks.sdk.service.ml import Experiment
from mlflow.tracking import MlflowClient

from serving.cli import main
from tests.conftest import ROOT
from tests.registry.stores import NAME
from tests.serving_endpoints_server import ServingServer, checked_fields
from tests.unity_catalog_rules import RefusedError

KINDS = {"apps": App, "experiments": Experiment, "jobs": JobSettings, "registered_models": RegisteredModelInfo}
TARGETS = ("dev", "staging", "prod")
OWN_OF_BUNDLES = ("config", "grants", "lifecycle")
"""Fields of a bundle that become requests of their own."""
OFFERED = re.compile(r"^( *)# (resources:|(?:  )?- \{)", re.MULTILINE)
"""Lines of the app that are there to be taken in."""
STORES = 5
"""Parameters of a task before the words of its command."""


@pytest.fixture(scope="session")
def bundle() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    return content


def tasks(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bundle["resources"]["jobs"]["release"]["tasks"]
    return found


def resolved(bundle: dict[str, Any], target: str, text: str) -> str:
    """A text with what Databricks puts into its places. Raises KeyError for a place that there is not."""
    variables = {name: one.get("default") for name, one in bundle["variables"].items()}
    values = {
        **{f"var.{name}": value for name, value in (variables | bundle["targets"][target]["variables"]).items()},
        **{
            f"resources.{kind}.{key}.name": entry["name"]
            for kind, entries in bundle["resources"].items()
            for key, entry in entries.items()
        },
        "bundle.name": bundle["bundle"]["name"],
        "bundle.target": target,
        "workspace.file_path": str(ROOT),
        "workspace.current_user.user_name": "ann@example.org",
    }
    while places := re.findall(r"\$\{([^}]+)\}", text):
        for place in places:
            assert values[place] is not None, place
            text = text.replace(f"${{{place}}}", str(values[place]))
    return text


def with_what_is_offered() -> dict[str, Any]:
    """The bundle after somebody took in what stands there as comments."""
    text = OFFERED.sub(r"\1\2", (ROOT / "databricks.yml").read_text(encoding="utf-8"))
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@pytest.mark.parametrize("is_offered", [False, True])
def test_every_field_is_one_that_databricks_knows(bundle: dict[str, Any], is_offered: bool) -> None:
    resources = (with_what_is_offered() if is_offered else bundle)["resources"]
    for kind, entries in resources.items():
        for entry in entries.values():
            checked_fields({name: value for name, value in entry.items() if name not in OWN_OF_BUNDLES}, KINDS[kind])
    app = resources["apps"]["server"]
    checked_fields({"command": app["config"]["command"], "env_vars": app["config"]["env"]}, AppDeployment)
    checked_fields(resources["registered_models"]["news_classifier"]["grants"], list[PrivilegeAssignment])
    used = {entry["value_from"] for entry in app["config"]["env"] if "value_from" in entry}
    assert used == {entry["name"] for entry in app.get("resources", ()) if "secret" in entry}
    assert len(used) == (2 if is_offered else 0)
    with pytest.raises(RefusedError, match=r"Unknown field 'tasks\.taskkey'"):
        checked_fields({"tasks": [{"taskkey": "a"}]}, JobSettings)


def test_there_is_no_endpoint_before_a_version_and_no_alias_without_a_decision(bundle: dict[str, Any]) -> None:
    assert set(bundle["resources"]) == set(KINDS)
    assert "aliases" not in bundle["resources"]["registered_models"]["news_classifier"]


def test_each_task_waits_for_the_one_before(bundle: dict[str, Any]) -> None:
    names = [task["task_key"] for task in tasks(bundle)]
    assert names == ["Evaluate_And_Register", "Review", "Approval_Check", "Deploy"]
    waits = [[one["task_key"] for one in task.get("depends_on", [])] for task in tasks(bundle)]
    assert waits == [[], *([name] for name in names[:-1])]
    environments = {one["environment_key"] for one in bundle["resources"]["jobs"]["release"]["environments"]}
    assert {task["environment_key"] for task in tasks(bundle)} == environments


@pytest.mark.parametrize("target", TARGETS)
def test_each_task_is_a_command_that_there_is(bundle: dict[str, Any], target: str) -> None:
    for task in tasks(bundle):
        script = task["spark_python_task"]
        assert (ROOT / script["python_file"]).is_file()
        words = [resolved(bundle, target, word) for word in script["parameters"]][STORES:]
        command: click.Command = main
        context = click.Context(command)
        while isinstance(command, click.Group):
            found = command.get_command(context, words[0])
            assert found, words
            command, words = found, words[1:]
        command.make_parser(context).parse_args(words)  # raises for an option that it does not have


def test_only_production_runs_by_the_clock_and_stages_share_nothing(bundle: dict[str, Any]) -> None:
    assert set(bundle["targets"]) == set(TARGETS)
    paused = {name: one["presets"].get("trigger_pause_status") for name, one in bundle["targets"].items()}
    assert paused == {"dev": "PAUSED", "staging": "PAUSED", "prod": None}
    for task in tasks(bundle):
        for text in task["spark_python_task"]["parameters"][2:STORES]:  # schema and experiments
            assert len({resolved(bundle, target, text) for target in TARGETS}) == len(TARGETS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_job_brings_the_champion_to_its_endpoint(
    bundle: dict[str, Any], store: MlflowClient, server: ServingServer, workspace: Path
) -> None:
    """Every task as Databricks runs it; only the runs are in SQLite."""
    server.polls = 0
    environment = os.environ | {"OPENAI_API_KEY": "", "PYTHONPATH": ""}
    for task in tasks(bundle):
        script = task["spark_python_task"]
        words = [resolved(bundle, "prod", word) for word in script["parameters"]]
        command = [sys.executable, str(ROOT / script["python_file"]), *words]
        done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, f"{task['task_key']}: {done.stderr[-2000:]}"
    assert server.catalog.models[NAME].aliases == {"champion": "1"}
    config = server.endpoints["news-classifier-prod"].config
    assert config
    assert [entity["entity_version"] for entity in config["served_entities"]] == ["1"]
    assert store.get_experiment_by_name("/Shared/news-classifier-registry-prod")
    assert len(server.asked) == 1
