"""`news-classifier serve traffic` where there is no server to speak to."""

import json
import socket
from pathlib import Path

from click.testing import CliRunner

from serving.app.control import CONTROL_FILE
from serving.cli import main


def test_a_server_that_is_gone_is_named_with_the_folder_that_knew_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        url = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
    (tmp_path / CONTROL_FILE).write_text(json.dumps({"url": url, "token": "none"}))
    done = CliRunner().invoke(main, ["serve", "traffic", "--state", str(tmp_path)])
    assert done.exit_code == 3
    assert done.stderr == (
        f"Error: No server answers at {url}, the address in the state folder {str(tmp_path)!r} (Connection refused). "
        "Start 'news-classifier serve app', or name another server's folder with --state.\n"
    )


def test_a_folder_without_a_server_says_how_to_give_another(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["serve", "traffic", "--state", str(tmp_path)])
    assert done.exit_code == 2
    assert "or give its --state" in done.stderr
