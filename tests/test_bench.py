"""That the measurements start; what they find is for `make bench...` to say."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_measurement_of_the_makefile_starts() -> None:
    scripts = re.findall(r"bench/\w+\.py", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert len(scripts) >= 7
    started = [
        subprocess.Popen(
            [sys.executable, script, "--help"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for script in scripts
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [text for process, text in zip(started, said, strict=True) if process.returncode] == []
