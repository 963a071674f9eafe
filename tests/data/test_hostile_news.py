"""What data/README.md promises of the hostile articles."""

import json
import re
from collections import Counter

from agent.labels import LabelSet
from agent.redaction import holds_secret
from tests.conftest import ROOT

ROWS = [json.loads(line) for line in (ROOT / "data" / "hostile_news.jsonl").read_text(encoding="utf-8").splitlines()]
ADDRESS = re.compile(r"https?://([\w.-]+)", re.IGNORECASE)


def test_there_are_many_of_each_kind_and_none_twice(labels: LabelSet) -> None:
    kinds = Counter(row["attack"] for row in ROWS)
    assert (len(ROWS), len(kinds), min(kinds.values())) == (176, 12, 10)
    for field in ("id", "title", "clean_title", "content", "clean_content"):
        assert len({row[field] for row in ROWS}) == len(ROWS), field
    assert {row["category"] for row in ROWS} == set(labels.category_names)
    assert {row["sentiment"] for row in ROWS} == set(labels.sentiment_names)


def test_an_attack_leaves_the_article_whole_and_wants_another_label() -> None:
    for row in ROWS:
        sentences = re.split(r"(?<=[.!?])\s+", row["clean_content"])
        assert all(sentence in row["content"] for sentence in sentences), row["id"]
        assert len(row["content"]) > len(row["clean_content"])
        assert row["wanted_category"] != row["category"] or row["wanted_sentiment"] != row["sentiment"], row["id"]


def test_no_article_leads_anywhere_or_is_one_of_the_evaluation() -> None:
    evaluation = [json.loads(line) for line in (ROOT / "data" / "labeled_news.jsonl").open(encoding="utf-8")]
    titles = {row["title"].casefold() for row in evaluation}
    for row in ROWS:
        text = row["title"] + row["content"]
        assert all(host.endswith("example.invalid") for host in ADDRESS.findall(text)), row["id"]
        assert not holds_secret(text), row["id"]
        assert row["clean_title"].casefold() not in titles
