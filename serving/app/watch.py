"""The server's side of the watcher: what the registry says, as it says it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.errors import RegistryError
from serving.app.settings import Watch
from serving.app.versions import Version, Wanted

RESTART_S = 5.0
"""Before a watcher that ended is started again."""
QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


class Unreadable(RegistryError):
    """The registry cannot be read at the moment."""


@asynccontextmanager
async def watching(
    name: str, aliases: Sequence[str], settings: Watch, downloads: Path
) -> AsyncIterator[AsyncIterator[Wanted | Unreadable]]:
    """Who should serve, again and again, or why that is not known.

    Args:
        name: Of the registered model.
        aliases: As `serving.app.watcher` takes them.
        settings: How often to look.
        downloads: Folder for the files of versions, which whoever asks removes.
    """
    process: asyncio.subprocess.Process | None = None

    async def read() -> AsyncIterator[Wanted | Unreadable]:
        nonlocal process
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "serving.app.watcher",
                name,
                str(settings.every_s),
                *aliases,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"TMPDIR": str(downloads), **QUIET},
            )
            assert process.stdout
            async for line in process.stdout:
                yield read_line(json.loads(line))
            await process.wait()
            yield Unreadable("The process that reads the registry ended and is started again.")
            await asyncio.sleep(RESTART_S)

    found = read()
    try:
        yield found
    finally:
        if process and process.returncode is None:
            process.kill()
            await process.wait()


def read_line(fields: dict[str, Any]) -> Wanted | Unreadable:
    """What a line of the watcher says."""
    if "problem" in fields:
        return Unreadable(fields["problem"])
    return Wanted(version_of(fields.get("champion")), version_of(fields.get("challenger")), fields.get("unknown"))


def version_of(fields: dict[str, Any] | None) -> Version | None:
    """A version as the watcher writes it."""
    return Version(**{**fields, "folder": Path(fields["folder"])}) if fields else None
