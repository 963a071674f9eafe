"""A process that reads the registry for the server: started by `serving.app.watch`, never imported by it.

MLflow and a connection to a store take memory and time that the server itself should not spend. One line of JSON for
each look: {"champion": {...} | null, "challenger": {...} | null}, {"champion": ..., "unknown": TEXT} when it cannot
be found out who the challenger is, or {"problem": TEXT} when the registry cannot be read. Ends when its standard input
ends.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from agent.errors import ArtifactError, NewsClassifierError
from agent.redaction import redact
from eval.store import open_store
from registry.versions import EVIDENCE_TAG, Registry, version_uri

Found = dict[str, object]


def main(name: str, aliases: list[str], every_s: float) -> None:
    """Say who has the aliases, again and again: silence is a sign that the registry does not answer.

    Args:
        name: Of the registered model.
        aliases: Of the champion and, where there is to be one, the challenger; or the number of a version.
        every_s: How often to look, in seconds.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the server decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not stand between the answers
    threading.Thread(target=end_with_server, daemon=True).start()
    watcher = Watcher(name)
    while True:
        answers.write(f"{json.dumps(watcher.look(aliases))}\n")
        answers.flush()
        time.sleep(every_s)


def end_with_server() -> None:
    """Wait until the server is gone."""
    sys.stdin.read()
    os._exit(0)


class Watcher:
    """Reads one registered model.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._registry: Registry | None = None
        self._known: dict[str, Found] = {}
        """Of versions, by their numbers; a version never changes, but its files are removed when it is given up."""

    def look(self, aliases: list[str]) -> Found:
        """Who has the aliases, or why that cannot be read."""
        try:
            if self._registry is None:
                open_store()
                self._registry = Registry(self._name, MlflowClient())
            held = self._registry.aliases()
            found: Found = {"champion": self._version(held, aliases[0])}
        except Exception as err:
            return {"problem": told(err)}
        try:
            return found | {"challenger": self._version(held, aliases[1]) if aliases[1:] else None}
        except Exception as err:  # one that cannot be fetched must not keep a new champion out
            return found | {"unknown": told(err)}

    def _version(self, held: Mapping[str, str], alias: str) -> Found | None:
        number = alias if alias.isdigit() else held.get(alias)
        if number is None:
            return None
        if number not in self._known or not Path(str(self._known[number]["folder"])).exists():
            assert self._registry
            self._known[number] = {
                "name": self._name,
                "number": number,
                "evidence_hash": self._registry.tags(number).get(EVIDENCE_TAG),
                "folder": str(download(version_uri(self._name, number))),
            }
        return {**self._known[number], "alias": None if alias.isdigit() else alias}


def download(uri: str) -> Path:
    """Copy the files of a version into a folder of their own, of which nothing stays if that fails.

    Raises:
        ArtifactError: there are none.
    """
    folder = Path(tempfile.mkdtemp()).resolve()
    try:
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
        if not (folder / "MLmodel").is_file():
            raise ArtifactError(f"{uri} holds no MLmodel. Were its files removed? Register it again.")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def told(err: Exception) -> str:
    """What is said of an error."""
    return str(err) if isinstance(err, NewsClassifierError) else redact(f"{type(err).__name__}: {err}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3:], float(sys.argv[2]))
