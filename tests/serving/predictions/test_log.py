"""The prediction log: what is appended is on disk soon, and nothing that happens to the disk stops anything."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from serving.predictions.log import LogSettings, Prediction, PredictionLog

LIGHT = ("mlflow", "pandas", "pyarrow", "numpy", "click", "rich")
SERVER = """
import sys, time
from pathlib import Path
from serving.predictions.log import LogSettings, PredictionLog
from tests.serving.predictions.test_log import prediction

log = PredictionLog(LogSettings(flush_s=0.2), Path(sys.argv[1]))
log.start()
for number in range(int(sys.argv[2])):
    log.append([prediction(request_id=f"{sys.argv[3]}-{number}", time=time.time())])
    if number % 20 == 0:
        time.sleep(0.005)
print("all appended", flush=True)
log.close()
print(log.written, log.dropped, flush=True)
"""


def prediction(**changes: Any) -> Prediction:
    return Prediction(
        time=1_800_000_000.0,
        request_id="r1",
        role="champion",
        version="5",
        article_hash="0123456789abcdef0123456789abcdef",
        article_id="a1",
        category="Sports",
        sentiment="neutral",
        category_confidence=0.75,
        sentiment_confidence=None,
        latency_ms=12.5,
        cost_usd=None,
        error=None,
        title=None,
        content=None,
    )._replace(**changes)


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[PredictionLog]:
    log = PredictionLog(LogSettings(**({"flush_s": 0.02} | settings)), folder)
    log.start()
    try:
        yield log
    finally:
        log.close()


def until(fact: Callable[[], object], within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def rows(folder: Path, columns: str = "request_id") -> list[Any]:
    with closing(sqlite3.connect(folder / "predictions.db")) as connection:
        found = connection.execute(f"SELECT {columns} FROM predictions ORDER BY rowid").fetchall()
    return [row[0] for row in found] if "," not in columns and columns != "*" else found


def server(folder: Path, count: int, name: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", SERVER, str(folder), str(count), name]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_prediction_is_on_disk_within_the_time_that_is_set(tmp_path: Path) -> None:
    with running(tmp_path / "state", flush_s=0.1) as log:
        assert log.append([prediction(), prediction(request_id="r2", role="shadow")]) == 0
        until(lambda: log.written == 2, within_s=3)
        assert rows(tmp_path / "state", "*") == [prediction(), prediction(request_id="r2", role="shadow")]
        assert (log.dropped, log.waiting, log.failed) == (0, 0, False)


def test_close_writes_what_is_left(tmp_path: Path) -> None:
    with running(tmp_path, flush_s=60) as log:
        log.append([prediction(request_id=f"r{number}") for number in range(3)])
    assert rows(tmp_path) == ["r0", "r1", "r2"]
    assert log.append([prediction()]) == 1
    assert log.dropped == 1


def test_many_waiting_predictions_are_written_before_their_time(tmp_path: Path) -> None:
    with running(tmp_path, flush_s=60, flush_rows=10) as log:
        until(lambda: (tmp_path / "predictions.db").exists())
        log.append([prediction()] * 10)
        until(lambda: log.written == 10)


def test_a_killed_server_loses_only_what_was_appended_last(tmp_path: Path) -> None:
    killed = server(tmp_path, 10_000_000, "killed")
    until(lambda: (tmp_path / "predictions.db").exists() and len(rows(tmp_path)) > 2000, within_s=30)
    killed.send_signal(signal.SIGKILL)
    end = time.time()
    killed.communicate()
    kept = rows(tmp_path, "request_id, time")
    assert [name for name, _ in kept] == [f"killed-{number}" for number in range(len(kept))], "one is missing between"
    assert kept[-1][1] > end - 0.2 - 1.0, "the bound is flush_s and the write under way"
    with running(tmp_path) as log:
        log.append([prediction(request_id="next")])
    assert rows(tmp_path) == [*(name for name, _ in kept), "next"]


def test_two_servers_share_a_state_folder(tmp_path: Path) -> None:
    servers = [server(tmp_path, 3000, name) for name in ("one", "two")]
    for process in servers:
        said, problem = process.communicate(timeout=60)
        assert said.splitlines()[-1] == "3000 0", problem
    assert sorted(rows(tmp_path)) == sorted(f"{name}-{number}" for name in ("one", "two") for number in range(3000))


def test_importing_the_log_stays_light() -> None:
    listed = f"import sys, serving.predictions.log; print([m for m in {LIGHT!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True).stdout == "[]\n"
