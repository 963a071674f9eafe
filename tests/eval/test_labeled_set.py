import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataError
from agent.labels import LabelSet
from eval.labeled_articles import LabeledArticle
from eval.labeled_set import fingerprint, load_labeled_set
from tests.conftest import write_jsonl

ROWS: list[dict[str, object]] = [
    {"id": "a", "title": "Club wins", "content": "By a goal.", "category": "Sports", "sentiment": "Positive"},
    {"id": "b", "title": "Bank fails", "content": "", "category": "Business", "sentiment": "Negative"},
]


def changed(number: int, **fields: object) -> list[dict[str, object]]:
    return [row | fields if index == number else row for index, row in enumerate(ROWS)]


def test_every_format_gives_the_same_set(tmp_path: Path, labels: LabelSet) -> None:
    frame = pd.DataFrame(ROWS)
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "a.json").write_text(json.dumps(ROWS), encoding="utf-8")
    frame.to_csv(tmp_path / "a.csv", index=False, quoting=csv.QUOTE_ALL)
    frame.to_parquet(tmp_path / "a.parquet")
    sets = [load_labeled_set(tmp_path / f"a.{suffix}", labels) for suffix in ("jsonl", "json", "csv", "parquet")]
    assert len({item.digest for item in sets}) == 1
    assert all(list(item.rows) == list(sets[0].rows) for item in sets)
    assert sets[0].tasks == ("category", "sentiment")


def test_one_kind_of_label_is_enough_and_null_is_none(tmp_path: Path, labels: LabelSet) -> None:
    rows = [row | {"sentiment": None} for row in ROWS]
    assert load_labeled_set(write_jsonl(tmp_path / "c.jsonl", rows), labels).tasks == ("category",)


def test_expected_labels_and_mapped_columns_are_read(tmp_path: Path, labels: LabelSet) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "headline": "Club wins", "text": "", "expected_category": "Sports", "mood": "Positive"}
    ]
    path = write_jsonl(tmp_path / "m.jsonl", rows)
    [row] = load_labeled_set(path, labels, {"title": "headline", "content": "text", "sentiment": "mood"}).rows
    assert row.title == "Club wins"
    assert row.gold == {"category": "Sports", "sentiment": "Positive"}


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (changed(1, category="Weather"), ["line 2", "'category'", "'Weather'", "allowed: Politics"]),
        (changed(1, sentiment="happy"), ["line 2", "'sentiment'", "'happy'", "Positive, Neutral, Negative"]),
        (changed(1, category=None), ["line 2", "'category'", "missing"]),
        (changed(0, id=None), ["line 1", "'id'", "missing"]),
        (changed(0, title=None), ["line 1", "'title'", "missing"]),
        (changed(1, id="a"), ["line 2", "'id'", "'a'", "line 1"]),
        (changed(1, title=7), ["line 2", "'title'", "7", "text"]),
        (changed(1, title=" ", content="\n"), ["line 2", "both empty"]),
        (changed(0, content="x" * 5_000_000), ["line 1", "5,000,009 characters", "200,000"]),
        ([{"id": "a", "title": "Club wins", "content": ""}], ["neither 'category' nor 'sentiment'", "--map"]),
        ([], ["holds no articles"]),
    ],
    ids=lambda value: None if isinstance(value, list) and value and isinstance(value[0], dict) else str(value)[:40],
)
def test_a_wrong_row_is_named_in_one_line(
    tmp_path: Path, labels: LabelSet, rows: list[dict[str, object]], parts: list[str]
) -> None:
    path = write_jsonl(tmp_path / "wrong.jsonl", rows)
    with pytest.raises(DataError) as caught:
        load_labeled_set(path, labels)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    for part in [str(path), *parts]:
        assert part in message


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.jsonl", b'{"id": 1}\n{broken\n', ["line 2", "invalid JSON"]),
        ("a.jsonl", b'{"id": 1}\n[1]\n', ["line 2", "list instead of an object"]),
        ("a.jsonl", b'{"id": 1}\n{"id": "\xff"}\n', ["line 2", "0xff", "not UTF-8"]),
        ("a.jsonl", b"", ["holds no articles"]),
        ("a.json", b'{"id": 1}', ["not a list"]),
        ("a.json", b"[{]", ["line 1", "invalid JSON"]),
        ("a.csv", b"id,title,category\n1,a,Sports,x\n", ["line 2", "more cells"]),
        ("a.csv", b"id,title,category\n1,a\n", ["line 2", "fewer cells"]),
        ("a.parquet", b"PAR1", ["not a Parquet file"]),
        ("a.xlsx", b"", ["unknown suffix '.xlsx'", ".jsonl"]),
    ],
)
def test_a_wrong_file_is_named_in_one_line(
    tmp_path: Path, labels: LabelSet, name: str, content: bytes, parts: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_labeled_set(path, labels)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_a_missing_file_and_a_wrong_mapping_are_named(tmp_path: Path, labels: LabelSet) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_labeled_set(tmp_path / "nowhere.jsonl", labels)
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match="unknown field 'kategory'"):
        load_labeled_set(path, labels, {"kategory": "category"})
    with pytest.raises(DataError, match="column 'label'"):
        load_labeled_set(path, labels, {"category": "label"})


@given(st.permutations(range(6)))
def test_the_digest_ignores_order_but_nothing_else(order: list[int]) -> None:
    rows = [LabeledArticle(str(n), f"title {n}", "", {"category": "Sports"}) for n in range(6)]
    assert fingerprint([rows[n] for n in order]) == fingerprint(rows)
    relabelled = [rows[0]._replace(gold={"category": "Health"}), *rows[1:]]
    assert fingerprint(relabelled) != fingerprint(rows)
    assert fingerprint(rows[1:]) != fingerprint(rows)


@pytest.mark.parametrize("field", ["id", "title", "content"])
def test_half_a_character_is_named_and_not_passed_on(tmp_path: Path, labels: LabelSet, field: str) -> None:
    path = write_jsonl(tmp_path / "half.jsonl", changed(1, **{field: "ab\ud800"}))
    with pytest.raises(DataError, match=rf"line 2: field '{field}' holds '\\ud800', half of a character"):
        load_labeled_set(path, labels)


def test_json_nested_beyond_reason_is_one_error(tmp_path: Path, labels: LabelSet) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DataError, match=r"deep\.jsonl: line 1"):
        load_labeled_set(path, labels)
