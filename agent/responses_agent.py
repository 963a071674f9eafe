"""The ONE agent: every provider and model answers through this class, which is logged as code and served as it is."""

import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from mlflow.pyfunc.model import PythonModelContext, ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

from agent.config import AgentConfig
from agent.labels import TASKS, UNKNOWN
from agent.providers import Pace, Provider, create_provider
from agent.records import Article, ArticleError, Classification
from agent.redaction import redact_logs, redact_traces
from agent.requests import InvalidArticle, read_request

LOCAL_MODEL = "local_model"
"""Name of the trained model among the artifacts of a logged model."""


class NewsClassifierAgent(ResponsesAgent):
    """Classifies news articles by category and sentiment.

    Args:
        config: Provider, model, labels and parameters.
    """

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self._artifact = config.artifact
        self._created: Provider | None = None
        self._allowed = {task: {None, UNKNOWN, *names} for task, names in config.labels.by_task.items()}

    def load_context(self, context: PythonModelContext) -> None:
        """Called by MLflow on loading: take the trained model that was logged, keep secrets out of logs and traces."""
        redact_logs()
        redact_traces()
        if LOCAL_MODEL in (context.artifacts or {}):
            self._artifact = Path(context.artifacts[LOCAL_MODEL])
        self.prepare()

    def prepare(self) -> None:
        """Load what the provider needs now rather than at the first article. Raises as `create_provider` does."""
        self._provider()

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
        """Answer every article once, as `(its index, answer)`, as the answers come.

        Args:
            articles: Shape (n,). One that cannot be classified is answered with an `error`.
            pace: How many at a time; the configuration's unless given.
        """
        asked: list[tuple[int, Article]] = []
        for index, article in enumerate(articles):
            problem = article.problem if isinstance(article, InvalidArticle) else article.problem()
            if isinstance(article, InvalidArticle) or problem:
                yield index, self._refuse(article, str(problem))
            else:
                asked.append((index, article))
        for position, record in self._provider().classify([article for _, article in asked], pace):
            yield asked[position][0], self._enforce_labels(record)

    def _provider(self) -> Provider:
        """The provider, created when first needed so that importing and configuring cost nothing."""
        if self._created is None:
            self._created = create_provider(self.config, self._artifact)
        return self._created

    def _refuse(self, article: Article | InvalidArticle, problem: str) -> Classification:
        return Classification(
            id=article.id,
            provider=self.config.provider,
            model=self.config.model,
            error=ArticleError(type="invalid_article", message=problem),
        )

    def _enforce_labels(self, record: Classification) -> Classification:
        """Whatever a model said, only configured labels leave the agent."""
        wrong = [task for task in TASKS if getattr(record, task) not in self._allowed[task]]
        return record.model_copy(update=dict.fromkeys(wrong, UNKNOWN)) if wrong else record


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
