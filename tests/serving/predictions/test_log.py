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

import pytest

from agent.errors import ConfigError
from agent.settings import parse_settings
from serving.predictions.log import PredictionLog
from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.store import read_predictions

LIGHT = ("mlflow", "pandas", "pyarrow", "numpy", "click", "rich")
SERVER = """
import sys, time
from pathlib import Path
from serving.predictions.log import PredictionLog
from serving.predictions.settings import LogSettings
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

FULL_DISK = """
import resource, secrets, signal, sys, time
from pathlib import Path
from serving.predictions.log import PredictionLog
from serving.predictions.settings import LogSettings
from tests.serving.predictions.test_log import prediction, until

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
log = PredictionLog(LogSettings(sink=sys.argv[2], flush_s=0.02, keep_text=True), Path(sys.argv[1]))
log.start()
appended = 0
while not log.failed:
    log.append([prediction(request_id=str(number), content=secrets.token_hex(10_000)) for number in range(20)])
    appended += 20
    time.sleep(0.05)
problem = log.problem
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
until(lambda: not log.waiting)
log.close()
print(log.written == appended, log.dropped, log.failed, problem)
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


def until(fact: Callable[[], object], within_s: float = 20) -> None:
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
        until(lambda: log.written == 2)
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
    until(lambda: (tmp_path / "predictions.db").exists() and len(list(read_predictions(tmp_path))) > 2000, within_s=30)
    killed.send_signal(signal.SIGKILL)
    end = time.time()
    killed.communicate()
    kept = rows(tmp_path, "request_id, time")
    assert [name for name, _ in kept] == [f"killed-{number}" for number in range(len(kept))], "one is missing between"
    assert kept[-1][1] > end - 0.2 - 2.0, "the bound is flush_s and the write under way"
    with running(tmp_path) as log:
        log.append([prediction(request_id="next")])
    assert rows(tmp_path) == [*(name for name, _ in kept), "next"]


def test_two_servers_share_a_state_folder(tmp_path: Path) -> None:
    servers = [server(tmp_path, 3000, name) for name in ("one", "two")]
    for process in servers:
        said, problem = process.communicate(timeout=60)
        assert said.splitlines()[-1] == "3000 0", problem
    assert sorted(rows(tmp_path)) == sorted(f"{name}-{number}" for name in ("one", "two") for number in range(3000))


@pytest.mark.parametrize("sink", ["sqlite", "parquet"])
def test_a_full_disk_is_waited_out(tmp_path: Path, sink: str) -> None:
    """A limit of the system on the size of files, lifted later, in a process of its own."""
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path), sink]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(f"True 0 False '{tmp_path}"), done.stderr
    assert done.stderr.count("Predictions wait in memory, and answers go on") == 1
    assert sum(1 for _ in read_predictions(tmp_path)) > 0


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    with running(tmp_path) as log:
        log.append([prediction(request_id="before")])
        until(lambda: log.written == 1)
        (tmp_path / "predictions.db").rename(tmp_path / "kept.db")
        log.append([prediction(request_id="after")])
        until(lambda: log.written == 2)
        assert rows(tmp_path) == ["after"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no database at all" * 100, "file is not a database"),
        (None, "unable to open database file"),
        ("PRAGMA user_version = 99", "its schema has version 99, and 1 is the one known here"),
        ("PRAGMA application_id = 7", "it is a database of something else"),
    ],
)
def test_what_cannot_be_written_is_said_and_waited_out(tmp_path: Path, content: bytes | str | None, said: str) -> None:
    path = tmp_path / "predictions.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        path.mkdir()
    else:
        with running(tmp_path) as log:
            log.append([prediction()])
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(content)
    with running(tmp_path, queue_rows=10, flush_rows=5) as log:
        until(lambda: log.failed)
        assert log.problem == f"'{path}' cannot be written: {said}. Check the disk, or move the file away."
        assert log.append([prediction()] * 8) == 0
        assert log.append([prediction()] * 8) == 6
        assert (log.waiting, log.dropped, log.written) == (10, 6, 0)
        path.rename(tmp_path / "moved")
        until(lambda: log.written == 10)
        assert not log.failed
    assert len(rows(tmp_path)) == 10


def test_another_process_that_holds_the_file_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.predictions.sqlite_sink.BUSY_S", 0.1)
    with running(tmp_path) as log:
        until(lambda: (tmp_path / "predictions.db").exists() and not log.failed)
        with closing(sqlite3.connect(tmp_path / "predictions.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            start = time.perf_counter()
            log.append([prediction()])
            assert time.perf_counter() - start < 0.5
            until(lambda: log.failed)
            assert "locked" in str(log.problem)
        until(lambda: log.written == 1)


def test_close_gives_up_on_what_cannot_be_written_and_counts_it(tmp_path: Path) -> None:
    (tmp_path / "predictions.db").mkdir()
    with running(tmp_path) as log:
        log.append([prediction()] * 3)
        until(lambda: log.failed)
    assert (log.written, log.dropped) == (0, 3)


@pytest.mark.parametrize(
    ("sink", "wrong"),
    [
        ("sqlite", {"category": {"not": "text"}}),
        ("sqlite", {"article_id": 7}),
        ("sqlite", {"latency_ms": None}),
        ("parquet", {"category": {"not": "text"}}),
        ("parquet", {"cost_usd": "much"}),
    ],
)
def test_a_row_that_no_table_takes_is_dropped_alone(tmp_path: Path, sink: str, wrong: dict[str, Any]) -> None:
    given = [prediction(time=float(number), request_id=f"r{number}") for number in range(40)]
    given[17] = given[17]._replace(**wrong)
    with running(tmp_path, sink=sink) as log:
        log.append(given)
        until(lambda: log.dropped == 1 and not log.waiting)
        assert (log.written, log.failed) == (39, False)
    assert list(read_predictions(tmp_path)) == [each for each in given if each is not given[17]]


def test_text_is_kept_only_where_that_was_asked_for_and_then_without_secrets(tmp_path: Path) -> None:
    key = "sk-" + "0123456789abcdef" * 2
    given = prediction(title="half \ud800", content=f"my key {key}", article_id=f"id {key}")
    for keep_text in (False, True):
        with running(tmp_path / str(keep_text), keep_text=keep_text) as log:
            log.append([given])
    assert rows(tmp_path / "False", "title, content, article_id") == [(None, None, "id [redacted]")]
    assert rows(tmp_path / "True", "title, content, article_id") == [
        ("half ?", "my key [redacted]", "id [redacted]"),
    ]


def test_a_sample_keeps_an_article_of_a_request_with_all_its_answers_or_not_at_all(tmp_path: Path) -> None:
    with running(tmp_path, sample=0.2) as log:
        for number in range(1000):
            asked = prediction(request_id=f"r{number}")
            assert log.append([asked, asked._replace(role="shadow", version="6")]) == 0
    kept = rows(tmp_path)
    assert 100 < len(set(kept)) < 300
    assert len(kept) == 2 * len(set(kept))
    assert log.dropped == 0


def test_old_predictions_are_deleted(tmp_path: Path) -> None:
    now = time.time()
    with running(tmp_path) as log:
        log.append([prediction(time=now - 3 * 86_400, request_id="old"), prediction(time=now, request_id="new")])
    with running(tmp_path, keep_days=2):
        until(lambda: rows(tmp_path) == ["new"])


def test_nothing_is_kept_where_nothing_is_to_be_kept(tmp_path: Path) -> None:
    with running(tmp_path / "state", sink="none") as log:
        assert log.append([prediction()]) == 0
    assert (log.dropped, log.waiting, list(tmp_path.iterdir())) == (0, 0, [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sink": "postgres"}, "'sqlite', 'parquet', 'mlflow' or 'none'"),
        ({"sample": 0}, "greater than 0"),
        ({"queue_rows": 100}, "queue_rows must be at least flush_rows, which is 500"),
        ({"sink": "parquet", "queue_rows": 5000}, "queue_rows must be at least flush_rows, which is 10000"),
        ({"sinks": "sqlite"}, "is not a setting. Allowed: experiment, flush_rows"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_settings(settings, LogSettings, "config/serving.yaml: predictions")


@pytest.mark.parametrize(("settings", "share"), [({}, 1), ({"sink": "mlflow"}, 0.01), ({"sample": 0.5}, 0.5)])
def test_traces_are_sampled_and_files_are_whole_unless_said_otherwise(settings: dict[str, Any], share: float) -> None:
    assert LogSettings(**settings).share == share


def test_importing_the_log_stays_light() -> None:
    listed = f"import sys, serving.predictions.log; print([m for m in {LIGHT!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True).stdout == "[]\n"
