"""What the shipped articles promise: counts, balance, no near-duplicates, no shared invented names."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from agent.labels import LabelSet
from tests.conftest import ROOT

NAMES_OF_THE_WORLD = Path(__file__).with_name("names_of_the_world.txt")
FULL_NAME = re.compile(r"[A-ZÀ-ŽĐŁŚŠ][\w'’-]+(?: (?:[a-z]{1,3} )?[A-ZÀ-ŽĐŁŚŠ][\w'’-]+)+")
INNER_NAME = re.compile(r"(?<=[a-z,] )[A-ZÀ-ŽĐŁŚŠ]\w{3,}")

Row = dict[str, object]


def read(name: str) -> list[Row]:
    text = (ROOT / "data" / name).read_text(encoding="utf-8")
    rows: list[Row] = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    return rows


SAMPLE, EVALUATION, TRAINING = read("sample_news.json"), read("labeled_news.jsonl"), read("training_news.jsonl")


def text_of(row: Row) -> str:
    return f"{row['title']}\n{row['content']}"


def test_the_sample_has_the_promised_shape(labels: LabelSet) -> None:
    assert len(SAMPLE) == 10
    assert {row["expected_category"] for row in SAMPLE} == set(labels.category_names)
    assert Counter(row["expected_sentiment"] for row in SAMPLE) == {"Positive": 5, "Negative": 3, "Neutral": 2}
    assert all(300 <= len(str(row["content"])) <= 360 for row in SAMPLE)


@pytest.mark.parametrize(("rows", "size", "each"), [(EVALUATION, 400, 50), (TRAINING, 1600, 200)])
def test_categories_and_sentiments_are_balanced(rows: list[Row], size: int, each: int, labels: LabelSet) -> None:
    assert len(rows) >= size
    assert len({row["id"] for row in rows}) == len(rows)
    assert min(Counter(row["category"] for row in rows).values()) >= each
    cells = Counter((row["category"], row["sentiment"]) for row in rows)
    for category in labels.category_names:
        counts = [cells[category, sentiment] for sentiment in labels.sentiment_names]
        assert max(counts) - min(counts) <= max(2, 0.02 * sum(counts)), (category, counts)


def test_a_fifth_of_the_evaluation_articles_is_hard_for_a_stated_reason() -> None:
    hard = [row for row in EVALUATION if row.get("hard")]
    assert 0.15 <= len(hard) / len(EVALUATION) <= 0.25
    assert all(len(str(row["reason"])) > 20 for row in hard)


def test_training_spreads_over_twenty_topics_a_category() -> None:
    topics: dict[object, set[object]] = {}
    for row in TRAINING:
        topics.setdefault(row["category"], set()).add(row["topic"])
    assert min(map(len, topics.values())) >= 20


def test_no_article_is_nearly_another() -> None:
    """TF-IDF cosine below 0.6 between evaluation and training, below 0.8 within a file."""
    held_out, training = ([text_of(row) for row in rows] for rows in (EVALUATION + SAMPLE, TRAINING))
    vectorizer = TfidfVectorizer().fit(held_out + training)
    left, right = vectorizer.transform(held_out), vectorizer.transform(training)
    assert (left @ right.T).max() < 0.6
    for matrix in (left, right):
        for start in range(0, matrix.shape[0], 512):
            block = (matrix[start : start + 512] @ matrix.T).toarray()
            rows = np.arange(block.shape[0])
            block[rows, start + rows] = 0
            assert block.max() < 0.8


def names(rows: Iterable[Row], pattern: re.Pattern[str]) -> set[str]:
    return {found for row in rows for line in text_of(row).splitlines() for found in pattern.findall(line)}


def test_training_and_evaluation_share_no_invented_name() -> None:
    """Names in both must be names of the world: places, institutions, first names, listed beside this test."""
    allowed = set(NAMES_OF_THE_WORLD.read_text(encoding="utf-8").split("\n"))
    words = {word for row in EVALUATION + SAMPLE + TRAINING for word in re.findall(r"\b[a-zà-ž][\w'’-]+", text_of(row))}
    shared = {
        name
        for pattern in (FULL_NAME, INNER_NAME)
        for name in names(EVALUATION + SAMPLE, pattern) & names(TRAINING, pattern)
        if not all(part in allowed or part.lower() in words for part in re.split(r"[ ’']", name) if len(part) > 1)
    }
    assert shared == set()


def test_the_category_is_not_given_away_by_its_own_words(labels: LabelSet) -> None:
    """A plain keyword baseline, label names and their descriptions, stays below .70."""
    names_and_words = [f"{label.name} {label.description}" for label in labels.categories]
    texts = [text_of(row) for row in EVALUATION]
    vectorizer = TfidfVectorizer(stop_words="english").fit(names_and_words + texts)
    scores = (vectorizer.transform(texts) @ vectorizer.transform(names_and_words).T).toarray()
    predicted = np.array(labels.category_names)[scores.argmax(axis=1)]
    accuracy = np.mean([label == row["category"] for label, row in zip(predicted, EVALUATION, strict=True)])
    assert 0.2 < accuracy < 0.70


def test_evaluation_and_training_have_different_texts_for_every_title() -> None:
    titles = [{str(row["title"]).casefold() for row in rows} for rows in (EVALUATION + SAMPLE, TRAINING)]
    assert not titles[0] & titles[1]
    assert len(titles[0]) == len(EVALUATION + SAMPLE)
    assert len(titles[1]) >= 0.999 * len(TRAINING)
