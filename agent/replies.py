"""What a caller of the agent gets back, in the forms of OpenAI's responses, made from records that are JSON already."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar
from uuid import uuid4

Answer = TypeVar("Answer")
Record = Mapping[str, Any]
"""A `Classification` as JSON."""


def response(records: Sequence[Record], *, single: bool) -> dict[str, Any]:
    """A whole answer: the labels as JSON text of one message, full records in `custom_outputs`.

    Args:
        records: One for each article, in order.
        single: Whether one article was asked about by itself, rather than a list.
    """
    brief = [brief_json(record) for record in records]
    text = brief[0] if single else f"[{', '.join(brief)}]"
    return {"object": "response", "output": [message(text, message_id())], "custom_outputs": custom_outputs(records)}


class StreamedReply:
    """The same answer article by article, as events of a stream: text deltas, then the item that they add up to.

    Args:
        single: As `response` takes it.
    """

    def __init__(self, *, single: bool) -> None:
        self.item_id = message_id()
        self.records: list[Record] = []
        self._single = single
        self._text = ""

    def delta(self, record: Record) -> dict[str, Any]:
        """The event of the next article."""
        brief = brief_json(record)
        opening = "" if self._single else ", " if self.records else "["
        self.records.append(record)
        return self._delta(opening + brief)

    def end(self) -> Iterator[dict[str, Any]]:
        """The events after the last article."""
        if not self._single:
            yield self._delta("]" if self.records else "[]")
        item = message(self._text, self.item_id)
        yield {"type": "response.output_item.done", "item": item, "custom_outputs": custom_outputs(self.records)}

    def _delta(self, text: str) -> dict[str, Any]:
        self._text += text
        return {"type": "response.output_text.delta", "item_id": self.item_id, "delta": text}


class InOrder(Generic[Answer]):
    """Lets answers that come in any order go in that of their articles, each as soon as all before it are gone."""

    def __init__(self) -> None:
        self._waiting: dict[int, Answer] = {}
        self._following = 0

    def add(self, index: int, answer: Answer) -> Iterator[Answer]:
        """Take an answer in, and let go what waits for nothing any more."""
        self._waiting[index] = answer
        while self._following in self._waiting:
            yield self._waiting.pop(self._following)
            self._following += 1


def in_order(answers: Iterator[tuple[int, Answer]]) -> Iterator[Answer]:
    """Answers in the order of their articles, each as soon as it and all before it are there."""
    order = InOrder[Answer]()
    for index, answer in answers:
        yield from order.add(index, answer)


def brief_json(record: Record) -> str:
    """What a chat client reads: the labels, or the error, of one article."""
    brief: dict[str, object] = {} if record["id"] is None else {"id": record["id"]}
    brief |= {"category": record["category"], "sentiment": record["sentiment"]}
    if record["error"]:
        brief["error"] = record["error"]["message"]
    return json.dumps(brief, ensure_ascii=False)


def custom_outputs(records: Sequence[Record]) -> dict[str, object]:
    """The full records, one for each article, in order."""
    return {"classifications": list(records)}


def message(text: str, item_id: str) -> dict[str, Any]:
    """The output item that holds a text."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": item_id, "role": "assistant", "content": content}


def message_id() -> str:
    """A new identifier for an output item."""
    return f"msg_{uuid4().hex}"
