"""What every command sets up before it begins."""

import os
import signal

import pytest
from click.testing import CliRunner

from eval.console import Group
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


def test_ctrl_c_is_no_gate_that_said_no() -> None:
    """Regression: commands other than evaluations ended with 1 after Ctrl-C, and a build took that for a refusal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)
    outer, inner = Group("outer"), Group("inner")
    outer.add_command(inner)
    inner.command("wait")(lambda: signal.raise_signal(signal.SIGINT))
    try:
        ended = CliRunner().invoke(outer, ["inner", "wait"])
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert ended.exit_code == 130
    assert ended.stderr == "Stopped.\n"
