import json
from collections.abc import Iterator, Sequence

import pytest
from mlflow.exceptions import MlflowException
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse

from agent.config import AgentConfig
from agent.labels import UNKNOWN
from agent.providers import Pace
from agent.records import MAX_ARTICLE_CHARS, Article, Classification
from agent.replies import in_order
from agent.responses_agent import NewsClassifierAgent


@pytest.fixture(scope="module")
def agent(agent_config: AgentConfig) -> NewsClassifierAgent:
    return NewsClassifierAgent(agent_config)


def articles(count: int) -> list[dict[str, str]]:
    return [{"id": f"a{n}", "title": f"Club {n} wins the cup", "content": "Fans sang all night."} for n in range(count)]


def ask(agent: NewsClassifierAgent, **custom_inputs: object) -> ResponsesAgentResponse:
    response = agent.predict(ResponsesAgentRequest(input=[], custom_inputs=custom_inputs))
    assert isinstance(response, ResponsesAgentResponse)
    return response


def records(response: ResponsesAgentResponse) -> list[dict[str, object]]:
    assert response.custom_outputs
    found: list[dict[str, object]] = response.custom_outputs["classifications"]
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 1500])
def test_a_batch_of_n_is_n_answers_in_order(agent: NewsClassifierAgent, count: int) -> None:
    response = ask(agent, articles=articles(count))
    assert [record["id"] for record in records(response)] == [f"a{n}" for n in range(count)]
    brief = json.loads(response.output[0].content[0]["text"])
    assert [entry["id"] for entry in brief] == [f"a{n}" for n in range(count)]


def test_one_article_is_answered_as_one_object(agent: NewsClassifierAgent) -> None:
    response = ask(agent, title="Club wins the cup final", content="The striker scored twice and fans celebrated.")
    brief = json.loads(response.output[0].content[0]["text"])
    [record] = records(response)
    assert brief == {"category": record["category"], "sentiment": record["sentiment"]}
    assert brief["category"] == "Sports"
    assert record["model_hash"]
    assert [call["outcome"] for call in record["calls"]] == ["ok"]
    for task in ("category", "sentiment"):
        probabilities = record[f"{task}_probabilities"]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert max(probabilities, key=probabilities.get) == record[task]


def test_a_failure_of_one_article_is_that_articles_error(agent: NewsClassifierAgent) -> None:
    good = articles(1)[0]
    entries = [
        good,
        {"id": "e", "title": " ", "content": ""},
        {"id": "t", "title": 5},
        {"id": "l", "content": "x" * (MAX_ARTICLE_CHARS + 1)},
        good,
    ]
    first, empty, typed, long, last = records(ask(agent, articles=entries))
    assert first["error"] is None
    assert first["category"] == last["category"] != UNKNOWN
    for record, reason in ((empty, "both empty"), (typed, "title"), (long, "at most")):
        assert record["error"]["type"] == "invalid_article"
        assert reason in record["error"]["message"]
        assert record["category"] == record["sentiment"] == UNKNOWN


@pytest.mark.parametrize("inputs", [{"articles": articles(3)}, {"articles": []}, {"title": "Club wins the cup"}])
def test_stream_agrees_with_predict(agent: NewsClassifierAgent, inputs: dict[str, object]) -> None:
    whole = ask(agent, **inputs)
    events = list(agent.predict_stream(ResponsesAgentRequest(input=[], custom_inputs=inputs)))
    done = events[-1]
    text = "".join(event.delta for event in events[:-1])
    assert text == whole.output[0].content[0]["text"] == done.item["content"][0]["text"]
    for mine, theirs in zip(records(whole), done.custom_outputs["classifications"], strict=True):
        assert mine | {"calls": ()} == theirs | {"calls": ()}


class Inventive:
    """A provider that answers backwards and makes up labels."""

    def classify(self, articles: Sequence[Article], pace: Pace | None = None) -> Iterator[tuple[int, Classification]]:
        for index in reversed(range(len(articles))):
            yield (
                index,
                Classification(
                    id=articles[index].id, category="Weather", sentiment="Positive", provider="p", model="m"
                ),
            )


def test_only_configured_labels_leave_the_agent(agent_config: AgentConfig) -> None:
    agent = NewsClassifierAgent(agent_config)
    agent.classifier._created = Inventive()
    answered = records(ask(agent, articles=articles(3)))
    assert [record["id"] for record in answered] == ["a0", "a1", "a2"]
    assert {record["category"] for record in answered} == {UNKNOWN}
    assert {record["sentiment"] for record in answered} == {"Positive"}


def test_answers_stream_in_order_whatever_order_they_come_in() -> None:
    record = Classification(provider="p", model="m")
    shuffled = [(2, record), (0, record), (1, record), (3, record)]
    assert len(list(in_order(iter(shuffled)))) == 4
    seen = []
    for answer in in_order((index, record.model_copy(update={"id": index})) for index, _ in shuffled):
        seen.append(answer.id)
    assert seen == [0, 1, 2, 3]


def test_a_request_without_an_article_is_a_bad_request_to_mlflow(agent: NewsClassifierAgent) -> None:
    with pytest.raises(MlflowException, match="holds no article") as caught:
        agent.predict(ResponsesAgentRequest(input=[]))
    assert caught.value.get_http_status_code() == 400
