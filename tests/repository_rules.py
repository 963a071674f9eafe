"""Rules of this repository that no linter knows; run by `make lint`.

Lock files name no host and no absolute path, so that they install from any index. `eval` is always imported from
(`from eval.runner import evaluate`): `import eval` would hide the builtin.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST_OR_PATH = re.compile(r"https?://|file:|(^|[\s=@])/\w|--(extra-)?index-url|--find-links")


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


def problems() -> Iterator[str]:
    """Everything that breaks a rule."""
    for path in tracked("requirements*.txt"):
        yield from lock_file_problems(path)
    for path in tracked("*.lock"):
        yield f"{path.relative_to(ROOT)}: is no requirements file; pin with 'make lock'"
    for path in tracked("*.py"):
        yield from import_problems(path)


if __name__ == "__main__":
    found = list(problems())
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)
