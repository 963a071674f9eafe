"""Rules of this repository that no linter knows; run by `make lint`.

Lock files name no host and no absolute path, so that they install from any index. `eval` is always imported from
(`from eval.runner import evaluate`): `import eval` would hide the builtin. Notebooks are kept as one run from top to
bottom left them, small, and without a trace of the machine.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOST_OR_PATH = re.compile(r"https?://|file:|(^|[\s=@])/\w|--(extra-)?index-url|--find-links")
NOTEBOOK_BYTES = 300_000


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, by pattern."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines()]


def lock_file_problems(path: Path) -> Iterator[str]:
    """Lines of a requirements file that tie it to a machine or an index."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if HOST_OR_PATH.search(line):
            yield f"{path.relative_to(ROOT)}:{number}: names a host, an index or an absolute path: {line.strip()}"


def import_problems(path: Path) -> Iterator[str]:
    """Places that say `import eval`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import) and any(name.name.partition(".")[0] == "eval" for name in node.names):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: write 'from eval.x import y', never 'import eval'"


def notebook_problems(path: Path) -> Iterator[str]:
    """What a notebook should not hold."""
    name = path.relative_to(ROOT)
    if (size := path.stat().st_size) > NOTEBOOK_BYTES:
        yield f"{name}: has {size:,} bytes, at most {NOTEBOOK_BYTES:,} are allowed; draw smaller pictures"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        yield f"{name}: was not run once from top to bottom; run all cells in a new kernel and save"
    for number, cell in enumerate(cells, 1):
        for line in notebook_lines(cell):
            if HOST_OR_PATH.search(line):
                yield f"{name}: cell {number}: names a host or an absolute path: {line.strip()}"
            if re.match(r"\s*import eval\b", line):
                yield f"{name}: cell {number}: write 'from eval.x import y', never 'import eval'"
        if any(output["output_type"] == "error" for output in cell.get("outputs", ())):
            yield f"{name}: cell {number}: ended with an error; correct it and run all cells"


def notebook_lines(cell: dict[str, Any]) -> Iterator[str]:
    """Every line of text in a cell and its outputs."""
    yield from "".join(cell["source"]).splitlines()
    for output in cell.get("outputs", ()):
        texts = {**output.get("data", {}), "text": output.get("text", "")}
        for kind, text in texts.items():
            if not kind.startswith("image/"):
                yield from ("".join(text) if isinstance(text, list) else str(text)).splitlines()


def problems() -> Iterator[str]:
    """Everything that breaks a rule."""
    for path in tracked("requirements*.txt", "*/requirements*.txt"):
        yield from lock_file_problems(path)
    for path in tracked("*.lock"):
        yield f"{path.relative_to(ROOT)}: is no requirements file; pin with 'make lock'"
    for path in tracked("*.py"):
        yield from import_problems(path)
    for path in tracked("*.ipynb"):
        yield from notebook_problems(path)


if __name__ == "__main__":
    found = list(problems())
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)
