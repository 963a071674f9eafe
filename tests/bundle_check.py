"""Reads databricks.yml with Databricks' own classes, which refuse unknown fields; run by `make bundle-check`.

databricks-bundles may only be used together with Databricks' services, so it is no requirement of this repository.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import Job
from databricks.bundles.registered_models import RegisteredModel

KINDS = {"experiments": MlflowExperiment, "jobs": Job, "registered_models": RegisteredModel}
REFERENCE = re.compile(r"\$\{resources\.(\w+)\.(\w+)\.\w+\}")


def check(path: Path) -> int:
    """Number of resources. Raises where Databricks' classes, or the references between resources, say no."""
    bundle: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    resources = bundle["resources"]
    checked = 0
    for kind, entries in resources.items():
        for entry in entries.values():
            KINDS[kind].from_dict(entry)
            checked += 1
    for kind, name in REFERENCE.findall(path.read_text(encoding="utf-8")):
        resources[kind][name]
    return checked


if __name__ == "__main__":
    sys.stdout.write(f"{check(Path('databricks.yml'))} resources of databricks.yml are as Databricks knows them\n")
