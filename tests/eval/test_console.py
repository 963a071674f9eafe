"""What every command sets up before it begins."""

import os

import pytest
from click.testing import CliRunner

from serving.cli import main

WAYS = ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")


@pytest.mark.parametrize("wanted", [None, "true"])
def test_artifacts_come_through_the_server_unless_somebody_wants_it_otherwise(
    workspace: object, monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    """Otherwise MLflow goes to the address that the server has for its own store, and waits there for minutes."""
    for name in WAYS:
        monkeypatch.setenv(name, wanted or "")  # so that what the command sets is undone
        if wanted is None:
            monkeypatch.delenv(name)
    CliRunner().invoke(main, ["registry"])
    assert {os.environ.get(name) for name in WAYS} == {wanted or "false"}
