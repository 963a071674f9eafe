from pathlib import Path

import pytest

from eval.files import write_prediction_table, write_records
from eval.labeled_articles import LabeledArticle
from eval.outcomes import Answer, Prediction, bill_of

VALUE = "correct horse battery"


def test_each_file_knows_the_secrets_of_its_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    article = LabeledArticle("a", f"They said {VALUE}", "", {"category": "Sports"})
    found = [Prediction(article, Answer("Sports", None, None, None, None, bill_of([])))]
    table, records = tmp_path / "predictions.csv", tmp_path / "predictions.json"
    write_prediction_table(table, found)
    write_records(records, found, [{}])
    assert VALUE in table.read_text(encoding="utf-8")
    assert VALUE in records.read_text(encoding="utf-8")
    monkeypatch.setenv("GATEWAY_PASSWORD", VALUE)
    write_prediction_table(table, found)
    write_records(records, found, [{}])
    assert VALUE not in table.read_text(encoding="utf-8")
    assert VALUE not in records.read_text(encoding="utf-8")
