import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.answers import AnswerReader, Reading
from agent.labels import UNKNOWN, Label, LabelSet
from agent.prompt import AnswerFormat
from agent.settings import read_settings
from tests.conftest import ROOT

LABELS = read_settings(ROOT / "config" / "labels.yaml", LabelSet)
READERS: dict[AnswerFormat, AnswerReader] = {
    "json_schema": AnswerReader(LABELS, "json_schema"),
    "lines": AnswerReader(LABELS, "lines"),
}
ALLOWED = {"category": {UNKNOWN, *LABELS.category_names}, "sentiment": {UNKNOWN, *LABELS.sentiment_names}}
FORMATS = st.sampled_from(sorted(READERS))
PARTS = st.sampled_from(
    [
        *LABELS.category_names,
        *LABELS.sentiment_names,
        *("category", "Sentiment", ":", '"', "{", "}", "[", ",", "\n", " ", "not ", "\\ud800", "null", "1e999", "**"),
        '{"category": "Sports", "sentiment": "Neutral"}',
        "Category: Health\nSentiment: Positive",
    ]
)
TEXTS = st.one_of(st.text(st.characters()), st.lists(PARTS | st.text(max_size=3)).map("".join))


def as_json(category: str, sentiment: str) -> str:
    return json.dumps({"category": category, "sentiment": sentiment})


def as_lines(category: str, sentiment: str) -> str:
    return f"Category: {category}\nSentiment: {sentiment}"


WRITERS: dict[AnswerFormat, Callable[[str, str], str]] = {"json_schema": as_json, "lines": as_lines}


@given(TEXTS, FORMATS)
def test_no_text_whatsoever_gives_a_label_off_the_list_or_unknown_without_a_reason(
    text: str, answer_format: AnswerFormat
) -> None:
    reading = READERS[answer_format].read(text)
    assert reading.category in ALLOWED["category"]
    assert reading.sentiment in ALLOWED["sentiment"]
    assert (UNKNOWN in reading[:2]) == bool(reading.problem)


@given(
    st.data(),
    FORMATS,
    st.sampled_from(["", "Sure, here it is:\n\n", "```\n"]),
    st.sampled_from(["", "\n```", "\n\nBye."]),
)
def test_an_exact_answer_is_read_in_any_case_and_with_prose_around(
    data: st.DataObject, answer_format: AnswerFormat, before: str, after: str
) -> None:
    drawn = [
        (name, "".join(data.draw(st.sampled_from([sign.lower(), sign.upper()])) for sign in name))
        for name in (data.draw(st.sampled_from(names)) for names in LABELS.by_task.values())
    ]
    text = before + WRITERS[answer_format](*(said for _, said in drawn)) + after
    assert READERS[answer_format].read(text) == Reading(*(name for name, _ in drawn))


@given(
    st.lists(st.sampled_from(LABELS.category_names), min_size=2, unique=True), st.sampled_from([", ", " or ", "/", " "])
)
def test_several_labels_are_never_narrowed_down_to_one(names: list[str], between: str) -> None:
    for answer_format, write in WRITERS.items():
        reading = READERS[answer_format].read(write(between.join(names), "Neutral"))
        assert reading[:2] == (UNKNOWN, "Neutral")
        twice = write(names[0], "Neutral") + "\n" + write(names[1], "Neutral")
        assert READERS[answer_format].read(twice)[:2] == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("category", "problem"),
    [
        ("not Politics", "'not Politics' is no category of the list"),
        ("not Politics, Sports", "is no category of the list"),
        ("Politics?", "'Politics?' is no category of the list"),
        ("Polit", "'Polit' is no category of the list"),
        ("Unknown", "'Unknown' is no category of the list"),
        ("P\u043elitics", "is no category of the list"),
        ("x" * 5000, f"'{'x' * 60}...' is no category of the list"),
    ],
)
@pytest.mark.parametrize("answer_format", READERS)
def test_what_is_nearly_a_label_is_none(category: str, problem: str, answer_format: AnswerFormat) -> None:
    reading = READERS[answer_format].read(WRITERS[answer_format](category, "Neutral"))
    assert reading[:2] == (UNKNOWN, "Neutral")
    assert problem in str(reading.problem)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Reading(problem="the answer is empty")),
        ("Sports, Neutral", Reading(problem="the answer holds no JSON object")),
        ('{"category": "Sports"', Reading(problem="the answer holds broken JSON")),
        ('{"a":' * 100_000, Reading(problem="the answer holds broken JSON")),
        ('{"category": "Sports", "category": "Sports"}', Reading(problem="the answer holds broken JSON")),
        (as_json("Sports", "Neutral") * 2, Reading("Sports", "Neutral")),
        ('{"category": "Sports"}', Reading("Sports", problem="no sentiment")),
        (
            '{"category": ["Sports"], "sentiment": "Neutral"}',
            Reading(UNKNOWN, "Neutral", "\"['Sports']\" is no category of the list"),
        ),
        ('{"category": null, "sentiment": "Neutral"}', Reading(UNKNOWN, "Neutral", "no category")),
        ('{"category": "Sports", "sentiment": "Neutral", "why": {"x": 1}}', Reading("Sports", "Neutral")),
    ],
)
def test_json_answers(text: str, expected: Reading) -> None:
    assert READERS["json_schema"].read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" \n", Reading(problem="the answer is empty")),
        ("Sports, Neutral", Reading(problem="the answer holds neither a Category nor a Sentiment line")),
        ("**Category:** Sports\n- Sentiment : *Neutral*.", Reading("Sports", "Neutral")),
        ("> CATEGORY: world news\r\n> SENTIMENT: neutral\r\n", Reading("World News", "Neutral")),
        ("Category: Sports\nCategory: sports\nSentiment: Neutral", Reading("Sports", "Neutral")),
        ("The Category: Sports\nSentiment: Neutral", Reading(UNKNOWN, "Neutral", "no category")),
        ("Category:\nSports\nSentiment: Neutral", Reading(UNKNOWN, "Neutral", "'' is no category of the list")),
        (
            as_lines("Sports", "Neutral") + "\nCategory: Health",
            Reading(problem="the answer holds several different category lines"),
        ),
    ],
)
def test_answers_in_lines(text: str, expected: Reading) -> None:
    assert READERS["lines"].read(text) == expected


NAMES = ["Straße", "İstanbul", "C++ {x}", 'The "Desk": A', "R&D", "U.S."]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer_format", READERS)
def test_a_label_with_unusual_signs_is_read(name: str, answer_format: AnswerFormat) -> None:
    labels = LABELS.model_copy(update={"categories": (Label(name=name, description="."), *LABELS.categories)})
    for said in (name, name.upper(), name.lower()):
        assert AnswerReader(labels, answer_format).read(WRITERS[answer_format](said, "Neutral")).category == name
