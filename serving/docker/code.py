"""The files that the server is made of: what its processes import, followed from module to module.

Read and not imported, so that nothing runs. What is started or found by name, which no import tells, is a root.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2]
"""Where the packages of this product are."""
ROOTS = (
    "agent",
    "serving.app.__main__",
    "serving.app.worker",
    "serving.docker.healthcheck",
    "serving.predictions.sqlite_sink",
)
"""`agent` is taken whole. What reads a registry is no root, because a container has none; nor are the sinks that would
make the image a third larger."""
DATA = ("serving/app/templates",)
"""Folders of what they read besides."""


def code_files() -> list[Path]:
    """All of them, in a fixed order."""
    found: set[Path] = set()
    waiting = [path for root in ROOTS for path in files_of(root, whole=root == "agent")]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for module in imported_by(path) for file in files_of(module)]
    return sorted(found | {path for folder in DATA for path in (SOURCES / folder).rglob("*") if path.is_file()})


def files_of(module: str, *, whole: bool = False) -> Iterator[Path]:
    """The file of a module of ours, with those of the packages that it lies in; nothing for any other."""
    place = SOURCES.joinpath(*module.split("."))
    if not place.with_suffix(".py").is_file() and not (place / "__init__.py").is_file():
        return
    for folder in (place, *place.parents):
        if folder == SOURCES:
            break
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
    if place.with_suffix(".py").is_file():
        yield place.with_suffix(".py")
    if whole:
        yield from place.rglob("*.py")


def imported_by(path: Path) -> Iterator[str]:
    """Names of what a file imports, wherever in it; of `from a import b` both, because b may be a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
