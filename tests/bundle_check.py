"""Reads databricks.yml with Databricks' own classes, which refuse unknown fields; run by `make bundle-check`.

databricks-bundles may only be used together with Databricks' services, so it is no requirement of this repository.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml
from databricks.bundles.apps import App
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import Job
from databricks.bundles.registered_models import RegisteredModel

KINDS = {"apps": App, "experiments": MlflowExperiment, "jobs": Job, "registered_models": RegisteredModel}
REFERENCE = re.compile(r"\$\{resources\.(\w+)\.(\w+)\.\w+\}")


OFFERED = re.compile(r"^( *)# (resources:|(?:  )?- \{)", re.MULTILINE)
"""Lines of the app that are there to be taken in."""


def check(text: str) -> int:
    """Number of resources. Raises where Databricks' classes, or the references between resources, say no."""
    bundle: dict[str, Any] = yaml.safe_load(text)
    resources = bundle["resources"]
    checked = 0
    for kind, entries in resources.items():
        for entry in entries.values():
            KINDS[kind].from_dict(entry)
            checked += 1
    for kind, name in REFERENCE.findall(text):
        resources[kind][name]
    return checked


if __name__ == "__main__":
    shipped = Path("databricks.yml").read_text(encoding="utf-8")
    check(OFFERED.sub(r"\1\2", shipped))
    sys.stdout.write(f"{check(shipped)} resources of databricks.yml are as Databricks knows them\n")
