"""Requests and answers as /openapi.json describes them; what reads and makes them are `routes` and `agent`.

Nothing is checked with these models while the server answers. Tests check that its answers fit them.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from agent.records import MAX_ARTICLE_CHARS, ArticleError, Call, Classification
from agent.requests import MAX_ID_CHARS

SOME_TEXT: dict[str, JsonValue] = {"type": "string", "pattern": r"\S", "maxLength": MAX_ARTICLE_CHARS}


class Described(BaseModel):
    """What all of them have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PlainArticle(Described):
    """One article. Needs a title or a content that is not blank; both together have 200,000 characters at most."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "anyOf": [{"required": [field], "properties": {field: SOME_TEXT}} for field in ("title", "content")],
            "not": {"required": ["articles"]},
            "examples": [{"id": "a1", "title": "Rowers win the cup", "content": "They won by a second."}],
        },
    )

    title: Annotated[str, Field(max_length=MAX_ARTICLE_CHARS)] = ""
    content: Annotated[str, Field(max_length=MAX_ARTICLE_CHARS)] = ""
    id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | int | None = None
    """The caller's name for it; returned with the answer."""


class ArticleList(Described):
    """Several articles. An entry that is no article gets an answer with an `error`; the others are answered."""

    model_config = ConfigDict(extra="ignore")

    articles: list[PlainArticle]


class Message(Described):
    """A message, of which the last one of the role `user` is read: a text, or JSON as /classify takes it."""

    model_config = ConfigDict(extra="allow")

    role: Any = None
    content: Any = None
    """A text, or a list of parts that have a `text`."""


class UserMessage(Described):
    """A message with an article."""

    model_config = ConfigDict(extra="allow")

    role: Literal["user"]


NO_ARTICLES: JsonValue = {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]}
AGENT_REQUEST: dict[str, JsonValue] = {
    "anyOf": [
        {"required": ["custom_inputs"], "properties": {"custom_inputs": {"type": "object", "minProperties": 1}}},
        {
            "properties": {
                "custom_inputs": NO_ARTICLES,
                "input": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "array", "contains": {"$ref": "#/components/schemas/UserMessage"}},
                    ]
                },
            }
        },
    ],
}


class AgentRequest(Described):
    """What MLflow's ResponsesAgent takes. Articles in `custom_inputs` go before those of messages."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=AGENT_REQUEST)

    input: str | list[Message]
    custom_inputs: PlainArticle | ArticleList | Annotated[dict[str, Any], Field(max_length=0)] | None = None
    stream: bool | None = None
    """Whether the answer comes article by article, as server-sent events."""


class SplitRow(Described):
    """A request as the row of a table."""

    model_config = ConfigDict(extra="ignore")

    columns: tuple[Literal["input"], Literal["custom_inputs"]]
    data: Annotated[list[tuple[str | list[Message], PlainArticle | ArticleList]], Field(min_length=1, max_length=1)]


class RequestInInputs(Described):
    """A request in `inputs`, as MLflow's scoring server takes it."""

    model_config = ConfigDict(extra="ignore")

    inputs: AgentRequest


class RequestInRecords(Described):
    """A request in `dataframe_records`, as MLflow's scoring server takes it; one."""

    model_config = ConfigDict(extra="ignore")

    dataframe_records: Annotated[list[AgentRequest], Field(min_length=1, max_length=1)]


class RequestInSplit(Described):
    """A request in `dataframe_split`, as MLflow's scoring server takes it; one."""

    model_config = ConfigDict(extra="ignore")

    dataframe_split: SplitRow


class OpenAIRequest(AgentRequest):
    """A request of OpenAI's Responses API; what else it has is ignored."""

    model: str | None = None
    """Returned with the answer; who answers is the server's matter."""


class ClassificationList(Described):
    """One answer for each article, in order."""

    classifications: list[Classification]


class OutputText(Described):
    """Labels as JSON text."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]


class OutputMessage(Described):
    """The labels, or the errors, of all articles, for those who read messages."""

    type: Literal["message"]
    id: str
    role: Literal["assistant"]
    content: list[OutputText]


class AgentResponse(Described):
    """What MLflow's ResponsesAgent answers."""

    object: Literal["response"]
    output: list[OutputMessage]
    custom_outputs: ClassificationList
    """Everything that is known, for those who read records."""


class Predictions(Described):
    """What MLflow's scoring server makes of the answer to a request in a table."""

    predictions: AgentResponse


class OpenAIResponse(AgentResponse):
    """What OpenAI's Responses API answers."""

    id: str
    created_at: int
    model: str
    status: Literal["completed"]
    error: None
    parallel_tool_calls: Literal[False]
    tool_choice: Literal["none"]
    tools: list[Any]


class Alive(Described):
    """The server runs."""

    status: Literal["ok"]


class ServingVersion(Described):
    """A version that can be asked."""

    version: str
    role: Literal["champion", "challenger"]
    breaker: Literal["open", "closed"]
    """Open while the version's provider is left alone because it is down."""
    workers: int
    """Processes that can be asked now."""


class Readiness(Described):
    """Whether the server can answer, and who does."""

    ready: bool
    versions: list[ServingVersion]


class VersionFacts(Described):
    """The version that answers."""

    model: str
    """The registered model's name."""
    version: str
    alias: str | None
    """Under which it was asked for."""
    evidence_hash: str | None
    """Of the evidence that it was registered with."""
    code: str
    """sha256 of the version's own `agent` package."""
    provider: str
    provider_model: str
    server: str
    """Version of this server."""


class ProblemDetails(Described):
    """Why a request was not answered (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    """What is wrong and what to do; nothing of the request stands in it."""
    request_id: str
    error_code: str
    """MLflow's word for the status."""
    message: str
    """The same as `detail`, where MLflow's clients look."""


ALL: tuple[type[BaseModel], ...] = (
    PlainArticle,
    ArticleList,
    AgentRequest,
    RequestInInputs,
    RequestInRecords,
    RequestInSplit,
    OpenAIRequest,
    UserMessage,
    Classification,
    ClassificationList,
    AgentResponse,
    Predictions,
    OpenAIResponse,
    Alive,
    Readiness,
    VersionFacts,
    ProblemDetails,
)


class Untitled(GenerateJsonSchema):
    """Schemas without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schemas(most_articles: int) -> dict[str, Any]:
    """JSON schemas by name.

    Args:
        most_articles: In a request.
    """
    _, found = models_json_schema(
        [(model, "serialization") for model in ALL],
        ref_template="#/components/schemas/{model}",
        schema_generator=Untitled,
    )
    definitions: dict[str, Any] = found["$defs"]
    definitions["ArticleList"]["properties"]["articles"]["maxItems"] = most_articles
    for model in (Classification, Call, ArticleError):
        for name, doc in docs_of(model).items():
            definitions[model.__name__]["properties"][name]["description"] = doc
    return definitions


def docs_of(model: type[BaseModel]) -> dict[str, str]:
    """The lines of doc under the fields of one of the agent's records, which keep none of them."""
    [found] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(found, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(found.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }
