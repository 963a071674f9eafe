"""The ONE agent: every provider and model answers through this class, which is logged as code and served as it is."""

import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from mlflow.pyfunc.model import PythonModelContext, ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.providers import Pace
from agent.records import Article, Classification, InvalidArticle
from agent.redaction import redact_logs, redact_traces
from agent.requests import read_request

LOCAL_MODEL = "local_model"
"""Name of the trained model among the artifacts of a logged model."""


class NewsClassifierAgent(ResponsesAgent):
    """Classifies news articles by category and sentiment.

    Args:
        config: Provider, model, labels and parameters.
    """

    loaded: ClassVar["NewsClassifierAgent | None"] = None
    """The agent that MLflow loaded last in this process, for who wants more of it than MLflow passes on."""

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.classifier = Classifier(config)

    def load_context(self, context: PythonModelContext) -> None:
        """Called by MLflow on loading: take the trained model that was logged, keep secrets out of logs and traces."""
        redact_logs()
        redact_traces()
        if LOCAL_MODEL in (context.artifacts or {}):
            self.classifier.artifact = Path(context.artifacts[LOCAL_MODEL])
        self.prepare()
        NewsClassifierAgent.loaded = self

    def prepare(self) -> None:
        """Load what the provider needs now rather than at the first article. Raises as `create_provider` does."""
        self.classifier.prepare()

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:  # type: ignore[override]
        """Answer every article of the request, in order: labels as JSON text, full records in `custom_outputs`."""
        batch = read_request(request)
        records = [record for _, record in sorted(self.classify(batch.articles), key=lambda answer: answer[0])]
        brief = [brief_json(record) for record in records]
        item = self.create_text_output_item(text=brief[0] if batch.single else f"[{', '.join(brief)}]", id=item_id())
        return ResponsesAgentResponse(output=[item], custom_outputs=custom_outputs(records))

    def predict_stream(  # type: ignore[override]
        self, request: ResponsesAgentRequest
    ) -> Generator[ResponsesAgentStreamEvent, None, None]:
        """The answers of `predict` article by article: text deltas, then the item that they add up to."""
        batch = read_request(request)
        item, text = item_id(), ""
        records: list[Classification] = []
        for record in in_order(self.classify(batch.articles)):
            delta = brief_json(record) if batch.single else f"{', ' if records else '['}{brief_json(record)}"
            records.append(record)
            text += delta
            yield ResponsesAgentStreamEvent(**self.create_text_delta(delta=delta, item_id=item))
        if not batch.single:
            closing = "]" if records else "[]"
            text += closing
            yield ResponsesAgentStreamEvent(**self.create_text_delta(delta=closing, item_id=item))
        yield ResponsesAgentStreamEvent(
            type="response.output_item.done",
            item=self.create_text_output_item(text=text, id=item),
            custom_outputs=custom_outputs(records),
        )

    def classify(
        self, articles: Sequence[Article | InvalidArticle], pace: Pace | None = None
    ) -> Iterator[tuple[int, Classification]]:
        """Answer every article once. As `Classifier.classify`."""
        return self.classifier.classify(articles, pace)


def in_order(answers: Iterator[tuple[int, Classification]]) -> Iterator[Classification]:
    """Answers in the order of their articles, each as soon as it and all before it are there."""
    waiting: dict[int, Classification] = {}
    following = 0
    for index, record in answers:
        waiting[index] = record
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def brief_json(record: Classification) -> str:
    """What a chat client reads: the labels, or the error, of one article."""
    brief: dict[str, object] = {} if record.id is None else {"id": record.id}
    brief |= {"category": record.category, "sentiment": record.sentiment}
    if record.error:
        brief["error"] = record.error.message
    return json.dumps(brief, ensure_ascii=False)


def custom_outputs(records: list[Classification]) -> dict[str, object]:
    """The full records, one for each article, in order."""
    return {"classifications": [record.model_dump() for record in records]}


def item_id() -> str:
    """A new identifier for an output item."""
    return f"msg_{uuid4().hex}"
