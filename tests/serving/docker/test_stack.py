"""compose.yaml: nothing open to others, no password in a file, and everything that it asks for is made."""

import hashlib
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from serving.app.settings import KEYS_VARIABLE, key_fields
from serving.docker.context import FOLDER
from serving.docker.healthcheck import PORT
from serving.docker.stack import make_secrets
from tests.conftest import ROOT

NEEDED = re.compile(r"\$\{(\w+):\?")
FOR_LLMS = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DATABRICKS_HOST", "DATABRICKS_TOKEN"}


@pytest.fixture(scope="module")
def text() -> str:
    return (FOLDER / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


def test_what_is_made_is_what_is_asked_for_and_only_its_owner_reads_it(tmp_path: Path, text: str) -> None:
    key = make_secrets(tmp_path)
    assert key
    made = dotenv_values(tmp_path / ".env")
    assert made.keys() == set(NEEDED.findall(text))
    assert all(len(value or "") >= 32 for value in made.values())
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    digests = {entry["name"]: entry["sha256"] for entry in map(key_fields, (made[KEYS_VARIABLE] or "").split())}
    metrics = (tmp_path / "keys" / "metrics").read_text(encoding="utf-8")
    assert digests == {
        name: hashlib.sha256(of.encode()).hexdigest() for name, of in (("you", key), ("metrics", metrics))
    }
    assert key not in (tmp_path / ".env").read_text(encoding="utf-8")


def test_secrets_are_made_once(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    before = (tmp_path / ".env").read_bytes()
    assert make_secrets(tmp_path) is None
    assert (tmp_path / ".env").read_bytes() == before


@pytest.mark.parametrize("target", ["stack", "stack-app", "stack-down"])
@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (None, "Docker Compose 2 is needed: 'docker compose version' has to answer."),
        ("echo \"unknown shorthand flag: 'f' in -f\" >&2; exit 125", "Docker Compose 2 is needed:"),
        ("case $4 in ls) echo 'No such command: ls' >&2; exit 1; esac", "Docker Compose 2 is needed:"),
        (
            "case $* in *quiet) echo 'Cannot connect to the Docker daemon' >&2; exit 1; esac",
            "No Docker engine answers. Start one, or set DOCKER_HOST. (Cannot connect to the Docker daemon)",
        ),
    ],
    ids=["no docker", "no compose", "compose 1", "no engine"],
)
def test_what_is_missing_is_said_before_anything_is_made(
    tmp_path: Path, target: str, docker: str | None, said: str
) -> None:
    """Regression: the secrets were made, and their key shown this once, before Compose was found missing."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "make").symlink_to(shutil.which("make") or "make")
    if docker:
        (tools / "docker").write_text(f"#!/bin/sh\n{docker}\n", encoding="utf-8")
        (tools / "docker").chmod(0o755)
    folder = tmp_path / "checkout"
    folder.mkdir()
    run = subprocess.run(
        ["make", "--no-print-directory", f"--file={ROOT / 'Makefile'}", target],
        cwd=folder,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    [line, _] = run.stderr.splitlines()  # the other is what make says whenever a recipe fails
    assert line.startswith(f"Error: {said}")
    assert not list(folder.iterdir())


def test_every_secret_is_a_reference_without_a_default(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if name in FOR_LLMS:
                assert value == f"${{{name}:-}}"
            elif re.search(r"PASSWORD|KEY|SECRET", name):
                assert NEEDED.match(value), name


def test_only_this_machine_reaches_what_is_published(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("ports" in services[name] for name in ("database", "artifacts"))


def test_ours_run_without_rights_and_images_are_of_a_version(services: dict[str, dict[str, Any]]) -> None:
    for name in ("app", "mlflow", "prometheus"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    for name in ("artifacts", "database", "prometheus"):
        assert re.search(r":v?\d+\.\d+", services[name]["image"]), name


def test_prometheus_reads_the_app_with_a_key(services: dict[str, dict[str, Any]]) -> None:
    [job] = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"app:{PORT}"]}]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"] == {"credentials_file": f"/run/secrets/{services['prometheus']['secrets'][0]}"}
