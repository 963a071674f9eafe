import json

import pytest
from mlflow.types.responses import ResponsesAgentRequest

from agent.errors import DataError
from agent.records import Article
from agent.requests import ArticleBatch, InvalidArticle, TooManyArticles, read_request


def request(**fields: object) -> dict[str, object]:
    return {"input": [], **fields}


def read(given: dict[str, object], form: str) -> ArticleBatch:
    """Reads a request as MLflow passes it on, or as the JSON that it was sent as."""
    if form == "JSON":
        return read_request(given["input"], given.get("custom_inputs"))
    sent = ResponsesAgentRequest(**given)
    return read_request(sent.input, sent.custom_inputs)


both_forms = pytest.mark.parametrize("form", ["JSON", "MLflow"])


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


ARTICLE = {"title": "Rowers win", "content": "By a second."}


@pytest.mark.parametrize(
    ("given", "single"),
    [
        (request(custom_inputs=ARTICLE), True),
        (request(custom_inputs={"articles": [ARTICLE]}), False),
        (request(input=[user(json.dumps(ARTICLE))]), True),
        (request(input=[user(json.dumps({"articles": [ARTICLE]}))]), False),
        (request(input=[user([{"type": "input_text", "text": json.dumps(ARTICLE)}])]), True),
        (request(input=[user("earlier"), {"role": "assistant", "content": "no"}, user(json.dumps(ARTICLE))]), True),
    ],
)
@both_forms
def test_every_form_gives_the_article(given: dict[str, object], single: bool, form: str) -> None:
    batch = read(given, form)
    assert batch.articles == [Article(title="Rowers win", content="By a second.")]
    assert batch.single is single


@pytest.mark.parametrize("text", ["Rowers win by a second.", '{"a": 1}', "[1]", "{broken"])
@both_forms
def test_other_text_is_the_content(text: str, form: str) -> None:
    assert read(request(input=[user(text)]), form).articles == [Article(content=text)]


@pytest.mark.parametrize(
    "given",
    [
        request(),
        request(custom_inputs={"artcles": [ARTICLE]}),
        request(custom_inputs={"articles": ARTICLE}),
        request(custom_inputs={"articles": "Rowers win"}),
        request(input=[{"role": "system", "content": "You are a classifier."}]),
    ],
)
@both_forms
def test_no_article_is_an_error_that_says_what_is_accepted(given: dict[str, object], form: str) -> None:
    with pytest.raises(DataError, match="Send custom_inputs"):
        read(given, form)


def test_a_text_alone_is_an_article() -> None:
    assert read_request("Rowers win.", None).articles == [Article(content="Rowers win.")]


def test_a_bad_entry_is_its_own_problem_and_keeps_its_place() -> None:
    entries = [ARTICLE, {"id": "b", "title": 5}, "text", {**ARTICLE, "id": 3, "category": "Sports"}]
    first, second, third, fourth = read(request(custom_inputs={"articles": entries}), "JSON").articles
    assert first == Article(**ARTICLE)
    assert isinstance(second, InvalidArticle)
    assert second.id == "b"
    assert "title" in second.problem
    assert isinstance(third, InvalidArticle)
    assert fourth.id == 3


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
@both_forms
def test_text_that_breaks_a_json_parser_is_just_text(text: str, form: str) -> None:
    assert read(request(input=[user(text)]), form).articles == [Article(content=text)]


@pytest.mark.parametrize("field", ["title", "content"])
def test_a_text_that_no_encoding_can_carry_is_no_article(field: str) -> None:
    [entry] = read(request(custom_inputs={"articles": [{"id": "a", field: "t\ud800"}]}), "JSON").articles
    assert entry == InvalidArticle("a", f"field {field!r}: holds half of a character")


@pytest.mark.parametrize("entries", [[ARTICLE] * 3, [1] * 3])
@pytest.mark.parametrize("as_text", [False, True])
def test_more_articles_than_are_taken_are_not_even_read(entries: list[object], as_text: bool) -> None:
    fields = {"articles": entries}
    given = ([user(json.dumps(fields))], None) if as_text else ([], fields)
    assert len(read_request(*given, most=3).articles) == 3
    with pytest.raises(TooManyArticles, match="3 articles; at most 2"):
        read_request(*given, most=2)


def test_an_id_is_a_name_and_no_second_article() -> None:
    entries = [{"id": length * "a", "title": "t"} for length in (1000, 1001)]
    fitting, too_long = read(request(custom_inputs={"articles": entries}), "JSON").articles
    assert fitting.id == "a" * 1000
    assert too_long == InvalidArticle(None, "field 'id': has more than 1,000 characters")


def test_an_id_that_no_encoding_can_carry_is_not_sent_back() -> None:
    [entry] = read(request(custom_inputs={"articles": [{"id": "a\ud800", "title": "t"}]}), "JSON").articles
    assert isinstance(entry, InvalidArticle)
    assert entry.id is None
