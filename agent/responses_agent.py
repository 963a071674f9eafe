"""The ONE agent: every provider and model answers through this class, which is logged as code and served as it is."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from mlflow.pyfunc.model import PythonModelContext, ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.providers import Pace
from agent.records import Article, Classification, InvalidArticle
from agent.redaction import redact_logs, redact_traces
from agent.replies import StreamedReply, in_order, response
from agent.requests import read_request
from agent.scoring_server import make_room, refusals

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
        if self.classifier.waits:
            make_room(self.config.max_concurrency)
        NewsClassifierAgent.loaded = self

    def prepare(self) -> None:
        """Load what the provider needs now rather than at the first article. Raises as `create_provider` does."""
        self.classifier.prepare()

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:  # type: ignore[override]
        """Answer every article of the request, in order: labels as JSON text, full records in `custom_outputs`."""
        with refusals():
            batch = read_request(request.input, request.custom_inputs)
            answers = sorted(self.classify(batch.articles), key=lambda answer: answer[0])
        return ResponsesAgentResponse(**response([record.model_dump() for _, record in answers], single=batch.single))

    def predict_stream(  # type: ignore[override]
        self, request: ResponsesAgentRequest
    ) -> Generator[ResponsesAgentStreamEvent, None, None]:
        """The answers of `predict` article by article: text deltas, then the item that they add up to."""
        with refusals():
            batch = read_request(request.input, request.custom_inputs)
            reply = StreamedReply(single=batch.single)
            for record in in_order(self.classify(batch.articles)):
                yield ResponsesAgentStreamEvent(**reply.delta(record.model_dump()))
            for event in reply.end():
                yield ResponsesAgentStreamEvent(**event)

    def classify(
        self, articles: Sequence[Article | InvalidArticle], pace: Pace | None = None
    ) -> Iterator[tuple[int, Classification]]:
        """Answer every article once. As `Classifier.classify`."""
        return self.classifier.classify(articles, pace)
