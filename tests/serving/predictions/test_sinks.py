"""Where predictions go besides SQLite, and how they are read back."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from agent.errors import DataError
from serving.predictions.parquet_sink import ParquetSink
from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings
from serving.predictions.store import read_predictions
from tests.serving.predictions.test_log import prediction, running, until

PARQUET_SERVER = """
import sys, time
from pathlib import Path
from serving.predictions.log import PredictionLog
from serving.predictions.settings import LogSettings
from tests.serving.predictions.test_log import prediction

log = PredictionLog(LogSettings(sink="parquet", flush_s=0.2), Path(sys.argv[1]))
log.start()
for number in range(1_000_000):
    log.append([prediction(request_id=str(number), time=time.time())])
    time.sleep(0.002)
"""

NOBODY = """
import os, sys
from pathlib import Path
from serving.predictions.store import read_predictions

if os.getuid() == 0:  # to whom nothing is forbidden
    os.setuid(65534)
print(len(list(read_predictions(Path(sys.argv[1])))))
"""


def names(folder: Path, since: float | None = None, until: float | None = None) -> list[str]:
    return [each.request_id for each in read_predictions(folder, since, until)]


@pytest.mark.parametrize("sink", ["sqlite", "parquet"])
def test_what_is_read_is_what_was_appended_in_the_order_of_time(tmp_path: Path, sink: str) -> None:
    whole = Prediction(
        3.5, "r3", "shadow", "6", "b" * 32, None, None, None, None, 0.5, 1.25, 0.5, "timeout", "T", "C ü\0"
    )
    with running(tmp_path, sink=sink, flush_s=0.02, keep_text=True) as log:
        log.append([prediction(time=2.0, request_id="r2"), prediction(time=1.0, request_id="r1"), whole])
    found = list(read_predictions(tmp_path))
    assert [each.request_id for each in found] == ["r1", "r2", "r3"]
    assert found[2] == whole
    assert names(tmp_path, since=2.0) == ["r2", "r3"]
    assert names(tmp_path, since=1.0, until=2.0) == ["r1"]


def test_a_log_whose_sink_was_changed_is_read_as_one(tmp_path: Path) -> None:
    for number, sink in enumerate(["sqlite", "parquet", "sqlite", "parquet"]):
        with running(tmp_path, sink=sink) as log:
            log.append([prediction(time=float(number), request_id=f"r{number}")])
    assert names(tmp_path) == ["r0", "r1", "r2", "r3"]


def test_a_killed_server_leaves_whole_parquet_files(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", PARQUET_SERVER, str(tmp_path)])
    until(lambda: len(list(tmp_path.glob("predictions/*/*.parquet"))) >= 3, within_s=30)
    killed.send_signal(signal.SIGKILL)
    end = time.time()
    killed.wait()
    kept = list(read_predictions(tmp_path))
    assert [each.request_id for each in kept] == [str(number) for number in range(len(kept))]
    assert kept[-1].time > end - 0.2 - 2.0


def test_other_tools_read_the_parquet_files(tmp_path: Path) -> None:
    with running(tmp_path, sink="parquet") as log:
        log.append([prediction()])
    table = pq.read_table(tmp_path / "predictions")
    assert table.select(Prediction._fields).to_pylist() == [prediction()._asdict()]


def test_parquet_days_that_are_too_old_are_deleted(tmp_path: Path) -> None:
    with running(tmp_path, sink="parquet") as log:
        log.append([prediction(time=time.time(), request_id="today")])
    [today] = (tmp_path / "predictions").iterdir()
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86_400))
    (today.parent / day).mkdir()
    (today.parent / "my notes").mkdir()
    sink = ParquetSink(LogSettings(sink="parquet"), tmp_path)
    sink.delete(time.time() - 4 * 86_400)
    assert (today.parent / day).exists()
    sink.delete(time.time() - 2 * 86_400)
    assert sorted(path.name for path in today.parent.iterdir()) == [today.name, "my notes"]


def test_traces_hold_what_was_answered(store: MlflowClient, tmp_path: Path) -> None:
    now = time.time()
    answered = prediction(time=now, latency_ms=12.0, title="Title", content="Content")
    failed = prediction(time=now + 1, request_id="r2", category=None, sentiment=None, error="provider_error")
    with running(tmp_path / "state", sink="mlflow", sample=1.0, experiment="traffic") as log:
        log.append([answered, failed])
        until(lambda: log.written == 2, within_s=60)
    experiment = store.get_experiment_by_name("traffic")
    assert experiment
    later, first = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    assert {name: first.info.tags[name] for name in ("request_id", "role", "version")} == {
        "request_id": "r1",
        "role": "champion",
        "version": "5",
    }
    assert first.data.spans[0].inputs == {"article_hash": answered.article_hash, "article_id": "a1"}
    assert first.data.spans[0].outputs == {"category": "Sports", "sentiment": "neutral", "category_confidence": 0.75}
    assert (first.info.request_time, first.info.execution_duration) == (pytest.approx(now * 1000 - 12, abs=1), 12)
    assert (later.info.state, later.data.spans[0].outputs["error"]) == ("ERROR", "provider_error")


def test_a_store_that_takes_no_traces_is_waited_for_and_a_killed_sender_replaced(
    store: MlflowClient, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACE_SAMPLING_RATIO", "0")  # as servers have it that trace nothing else
    with running(workspace / "state", sink="mlflow", sample=1.0) as log:
        log.append([prediction()])
        until(lambda: log.written == 1, within_s=60)
        with closing(sqlite3.connect(workspace / "mlflow.db", isolation_level=None)) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON trace_info BEGIN SELECT RAISE(FAIL, 'full'); END")
            log.append([prediction(request_id="r2")])
            until(lambda: log.failed, within_s=60)
            assert "takes no traces: Trace with ID" in str(log.problem)
            other.execute("DROP TRIGGER full")
        until(lambda: log.written == 2, within_s=60)
        [sender] = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "mlflow_sender"], capture_output=True, text=True
        ).stdout.split()
        os.kill(int(sender), signal.SIGKILL)
        log.append([prediction(request_id="r3")])
        until(lambda: log.written == 3, within_s=60)
        assert (log.dropped, log.failed) == (0, False)
    experiment = store.get_experiment_by_name("news-classifier-predictions")
    assert experiment
    traces = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    assert sorted(trace.info.tags["request_id"] for trace in traces) == ["r1", "r2", "r3"]


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no prediction log. Give the state folder"):
        list(read_predictions(tmp_path))
    (tmp_path / "predictions.db").write_bytes(b"")
    assert names(tmp_path) == [], "a server is just making it"
    with closing(sqlite3.connect(tmp_path / "predictions.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(DataError, match="cannot be read: it is a database of something else"):
        list(read_predictions(tmp_path))


def test_a_parquet_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with running(tmp_path, sink="parquet") as log:
        log.append([prediction()])
    [path] = tmp_path.glob("predictions/*/*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"news_classifier.predictions": "9"}), path)
    with pytest.raises(DataError, match="has the schema version '9'; allowed: 1"):
        list(read_predictions(tmp_path))
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=f"{path.name}' cannot be read"):
        list(read_predictions(tmp_path))


def test_a_log_is_read_while_it_is_written_and_does_not_hold_that_up(tmp_path: Path) -> None:
    with running(tmp_path, flush_rows=1) as log:
        log.append([prediction(request_id=f"r{number}") for number in range(1000)])
        until(lambda: log.written == 1000)
        reading = read_predictions(tmp_path)
        next(reading)
        log.append([prediction(request_id="later")])
        until(lambda: log.written == 1001)
        assert len(list(reading)) == 999
    assert len(names(tmp_path)) == 1001


def test_a_closed_log_is_read_where_nothing_may_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with running(Path(folder)) as log:
            log.append([prediction()])
        Path(folder).chmod(0o555)
        done = subprocess.run([sys.executable, "-c", NOBODY, folder], capture_output=True, text=True)
        Path(folder).chmod(0o755)
        assert done.stdout == "1\n", done.stderr
