"""What every command sets up before it begins."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from eval.console import Group
from serving.cli import main
from tests.conftest import ROOT, hears_interrupts

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


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["ctrl-c", "ctrl-d"])
def test_who_stops_at_a_question_has_not_said_no(key: bytes) -> None:
    """Regression: `registry promote` ended with "Aborted!" and 1, as if the gates had said no."""
    ours, theirs = os.openpty()

    def sit_down() -> None:
        os.login_tty(theirs)
        hears_interrupts()

    asking = "import click; from eval.console import Group; Group('g', callback=lambda: click.prompt('Go on'),"
    command = [sys.executable, "-c", f"{asking} invoke_without_command=True)([])"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=sit_down)
    shown = b""
    while b"Go on: " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, key)
    assert process.wait(timeout=60) == 130
    assert os.read(ours, 1000).endswith(b"\r\nStopped.\r\n")
    os.close(ours)
    os.close(theirs)
