"""`serve log`: the log as one file."""

import csv
import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from serving.cli import main
from serving.predictions.record import Prediction
from tests.serving.predictions.test_log import prediction, running


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path / "state") as log:
        log.append([prediction(time=1.0, article_id="=1+1"), prediction(time=time.time(), request_id="new")])
    return tmp_path / "state"


def export(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["serve", "log", "--state", "state", *words])
    assert result.exit_code == code, result.output
    return result


def test_the_log_is_written_in_the_form_of_the_suffix(state: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        assert export("--out", f"log.{suffix}").output == f"2 predictions written to log.{suffix}.\n"
    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        as_csv = list(csv.DictReader(file))
    as_json = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    as_parquet = pq.read_table(tmp_path / "log.parquet").to_pylist()
    assert as_json == as_parquet
    assert as_json[0] == prediction(time=1.0, article_id="=1+1")._asdict()
    assert (list(as_csv[0]), as_csv[0]["article_id"], as_csv[0]["error"]) == (list(Prediction._fields), "'=1+1", "")


def test_since_leaves_out_what_is_older(state: Path, tmp_path: Path) -> None:
    assert json.loads(export("--since", "1h", "--out", "log.jsonl", "--json").output)["predictions"] == 1
    assert (
        json.loads(export("--since", "1970-01-01T00:00:01", "--out", "log.jsonl", "--json").output)["predictions"] == 2
    )


def test_a_log_that_cannot_be_read_leaves_the_last_file(state: Path, tmp_path: Path) -> None:
    export("--out", "log.csv")
    before = (tmp_path / "log.csv").read_bytes()
    (state / "predictions.db").write_bytes(b"no database" * 1000)
    assert "cannot be read: file is not a database" in export("--out", "log.csv", code=2).output
    assert (tmp_path / "log.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "state"]
