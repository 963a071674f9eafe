"""A logged model brings all that it needs: it answers where nothing else is installed than what it names."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.logged_model import log_agent

EXTRAS = re.compile(r"extra\s*==")
NAME = re.compile(r"^[A-Za-z0-9._-]+")
ANSWERS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

ABSENT = {*sys.argv[2].split(",")}
sys.meta_path.insert(0, Absent())
import mlflow

model = mlflow.pyfunc.load_model(sys.argv[1])
article = {"title": "Club wins the cup final", "content": "The striker scored twice and fans sang."}
[record] = model.predict({"input": [], "custom_inputs": article})["custom_outputs"]["classifications"]
print(record["category"], record["error"])
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named_in(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found, requirement
    return normal(found.group())


def installed_with(names: set[str]) -> set[str]:
    """The distributions that these bring with them, themselves included."""
    found: set[str] = set()
    waiting = {*names}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            try:
                needed = requires(name) or []
            except PackageNotFoundError:  # of another platform
                continue
            waiting |= {named_in(one) for one in needed if not EXTRAS.search(one)}
    return found


def test_the_local_model_answers_with_nothing_installed_but_its_requirements(
    store: MlflowClient, agent_config: AgentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow.start_run():
        uri = log_agent(agent_config).model_uri
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "model")))
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    there = installed_with({named_in(line) for line in lines})
    absent = {
        module
        for module, owners in packages_distributions().items()
        if not there & {normal(owner) for owner in owners} and module not in sys.stdlib_module_names
    }
    assert {"click", "numpy", "pandas", "scipy"} & absent == set()
    assert {"rich", "pytest", "pydantic_settings"} <= absent
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = [sys.executable, "-c", ANSWERS, str(folder), ",".join(sorted(absent))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "Sports None", done.stderr[-2000:]
