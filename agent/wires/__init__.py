"""The two languages that LLM services speak: what is asked and what is answered, without any network.

A wire turns a question into the body of a request and the body of a response into a reply. Which address, which key
and which failures belong to a provider.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from agent.labels import LabelSet
from agent.prices import Usage
from agent.prompt import Turn

SCHEMA_NAME = "news_labels"


class Question(NamedTuple):
    """What a model is asked."""

    model: str
    system: str
    """Instructions."""
    turns: Sequence[Turn]
    """The conversation, the article first."""
    schema: Mapping[str, object] | None
    """JSON schema that the answer is held to; None for a model that has no such thing."""
    output_cap: int
    """Most tokens that may be written."""
    output_cap_name: str
    """The name under which the model accepts that."""
    params: Mapping[str, object]
    """Further parameters of the model."""


Stop = Literal["end", "truncated", "refused"]
"""Why a model stopped writing."""


class Reply(NamedTuple):
    """What a model answered."""

    text: str
    """Its text, reasoning left out; empty when there is none."""
    stop: Stop
    usage: Usage | None
    """None when the service did not say."""


class MalformedReply(ValueError):
    """A response that this wire does not know."""


class Wire(Protocol):
    """One language."""

    def body(self, question: Question) -> Mapping[str, object]:
        """The body of the request, as JSON."""

    def reply(self, payload: Any) -> Reply:
        """What a response's body, read from JSON, says. Raises MalformedReply."""


def answer_schema(labels: LabelSet) -> dict[str, object]:
    """The JSON schema of an answer: both tasks, each one of its labels."""
    return {
        "type": "object",
        "properties": {task: {"type": "string", "enum": list(names)} for task, names in labels.by_task.items()},
        "required": list(labels.by_task),
        "additionalProperties": False,
    }


def text_of(content: object) -> str:
    """The text of a message: as it is, or joined from its blocks of type `text`; others, such as reasoning, are not it.

    Raises:
        MalformedReply: it is neither.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise MalformedReply(f"the content of the message is a {type(content).__name__}")
    blocks = (block for block in content if isinstance(block, dict) and block.get("type") == "text")
    return "".join(str(block.get("text") or "") for block in blocks)


def count_of(usage: Mapping[str, object], *path: str) -> int:
    """A number of tokens deep in a usage record; 0 where it is not there."""
    value: object = usage
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 0
