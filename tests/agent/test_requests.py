import json

import pytest
from mlflow.exceptions import MlflowException
from mlflow.types.responses import ResponsesAgentRequest

from agent.records import Article
from agent.requests import InvalidArticle, read_request


def request(**fields: object) -> ResponsesAgentRequest:
    return ResponsesAgentRequest(**{"input": [], **fields})


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
def test_every_form_gives_the_article(given: ResponsesAgentRequest, single: bool) -> None:
    batch = read_request(given)
    assert batch.articles == [Article(title="Rowers win", content="By a second.")]
    assert batch.single is single


@pytest.mark.parametrize("text", ["Rowers win by a second.", '{"a": 1}', "[1]", "{broken"])
def test_other_text_is_the_content(text: str) -> None:
    assert read_request(request(input=[user(text)])).articles == [Article(content=text)]


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
def test_no_article_is_a_bad_request_that_says_what_is_accepted(given: ResponsesAgentRequest) -> None:
    with pytest.raises(MlflowException, match="Send custom_inputs") as caught:
        read_request(given)
    assert caught.value.get_http_status_code() == 400


def test_a_bad_entry_is_its_own_problem_and_keeps_its_place() -> None:
    entries = [ARTICLE, {"id": "b", "title": 5}, "text", {**ARTICLE, "id": 3, "category": "Sports"}]
    first, second, third, fourth = read_request(request(custom_inputs={"articles": entries})).articles
    assert first == Article(**ARTICLE)
    assert isinstance(second, InvalidArticle)
    assert second.id == "b"
    assert "title" in second.problem
    assert isinstance(third, InvalidArticle)
    assert fourth.id == 3


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
def test_text_that_breaks_a_json_parser_is_just_text(text: str) -> None:
    assert read_request(request(input=[user(text)])).articles == [Article(content=text)]


def test_an_id_that_no_encoding_can_carry_is_not_sent_back() -> None:
    [entry] = read_request(request(custom_inputs={"articles": [{"id": "a\ud800", "title": "t"}]})).articles
    assert isinstance(entry, InvalidArticle)
    assert entry.id is None
