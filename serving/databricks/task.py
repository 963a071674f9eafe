"""A command of this product as a task of a Databricks job: FOLDER CATALOG SCHEMA RUNS HISTORY WORDS...

FOLDER is where the bundle put the repository; RUNS and HISTORY are names of experiments. The command runs in a copy,
because databases and models that it writes want a disk of their own. Exit code 0 is kept from Databricks, which has
counted any exit as a failure.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path


def run(folder: str, catalog: str, schema: str, runs: str, history: str, *words: str) -> None:
    """Run one command in the stores of the workspace."""
    own = str(Path(tempfile.mkdtemp()) / "news-classifier")
    shutil.copytree(folder, own, ignore=shutil.ignore_patterns(".*", "mlruns", "models", "reports", "*.db"))
    os.chdir(own)
    sys.path.insert(0, own)
    os.environ.setdefault("MLFLOW_TRACKING_URI", "databricks")
    os.environ |= {"MLFLOW_REGISTRY_URI": "databricks-uc", "UC_CATALOG": catalog, "UC_SCHEMA": schema}
    os.environ |= {f"MLFLOW_EXPERIMENT_NAME_{track}": runs for track in ("EXTERNAL", "INTERNAL", "LOCAL")}
    os.environ["MLFLOW_EXPERIMENT_NAME_REGISTRY"] = history
    from serving.cli import main

    try:
        main(words)
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    run(*sys.argv[1:])
