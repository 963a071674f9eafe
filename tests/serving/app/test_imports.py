"""What the processes of the server must not import."""

import subprocess
import sys

import pytest

HEAVY = {"mlflow", "pandas", "numpy", "pyarrow", "sklearn", "rich", "databricks"}
OURS = {"agent", "eval", "registry", "training"}


def imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


@pytest.mark.parametrize("module", ["serving.app.__main__", "serving.app.server", "serving.docker.healthcheck"])
def test_the_front_stays_light(module: str) -> None:
    assert not imported_by(module) & HEAVY


def test_a_worker_leaves_the_agent_to_the_version() -> None:
    assert not imported_by("serving.app.worker") & (OURS | HEAVY)


def test_the_command_line_stays_light_until_it_knows_what_to_do() -> None:
    assert not imported_by("serving.cli, serving.commands, serving.app.commands") & (HEAVY - {"rich"})
