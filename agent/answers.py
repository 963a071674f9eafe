"""Reads labels out of what a model said. What cannot be read beyond doubt is a problem, never a guess."""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from agent.labels import TASKS, UNKNOWN, LabelSet, Task
from agent.prompt import AnswerFormat
from agent.redaction import redact

LINE = re.compile(r"^[ \t>*_#-]*(category|sentiment)[ \t*_]*:(.*)$", re.IGNORECASE | re.MULTILINE)
DECORATION = " \t\r*_"
ENDING = f".{DECORATION}"
SHOWN_CHARS = 60


class Reading(NamedTuple):
    """What an answer says: a label for each task, `Unknown` where none can be read, and why."""

    category: str = UNKNOWN
    sentiment: str = UNKNOWN
    problem: str | None = None


class AnswerReader:
    """Reads answers in one format, for one set of labels.

    Args:
        labels: The labels that are allowed; an answer may write them in another case.
        answer_format: The format that the model was asked for.
    """

    def __init__(self, labels: LabelSet, answer_format: AnswerFormat) -> None:
        self._names: Mapping[Task, Mapping[str, str]] = {
            task: {name.casefold(): name for name in names} for task, names in labels.by_task.items()
        }
        self._fields = fields_of_json if answer_format == "json_schema" else fields_of_lines

    def read(self, text: str) -> Reading:
        """The labels of an answer. Labels that differ within one answer, or that are not on the list, are problems."""
        fields = self._fields(text)
        if isinstance(fields, str):
            return Reading(problem=fields)
        labels, problems = {}, []
        for task in TASKS:
            said = fields.get(task)
            label = self._label(task, said) if isinstance(said, str) else None
            labels[task] = label or UNKNOWN
            if label is None:
                problems.append(f"no {task}" if said is None else f"{shown(said)} is no {task} of the list")
        return Reading(**labels, problem="; ".join(problems) or None)

    def _label(self, task: Task, said: str) -> str | None:
        """The configured label that was said, perhaps in another case or with a full stop; None for any other text."""
        names, text = self._names[task], said.strip().casefold()
        return names.get(text) or names.get(text.rstrip(ENDING))


def fields_of_json(text: str) -> Mapping[str, object] | str:
    """The one JSON object of an answer, around which there may be prose; or why there is none."""
    objects: list[Mapping[str, object]] = []
    decoder, position = json.JSONDecoder(object_pairs_hook=without_repeats), text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return "the answer holds broken JSON"
        objects.append(value)
        position = text.find("{", end)
    if not objects:
        return "the answer holds no JSON object" if text.strip() else "the answer is empty"
    if any(other != objects[0] for other in objects):
        return "the answer holds several different JSON objects"
    return objects[0]


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose keys are distinct. Raises ValueError where one stands twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def fields_of_lines(text: str) -> Mapping[str, object] | str:
    """The `Category:` and `Sentiment:` lines of an answer, around which there may be prose; or why there are none."""
    found: dict[str, str] = {}
    for name, raw in LINE.findall(text):
        task, value = name.casefold(), raw.strip(DECORATION)
        if found.setdefault(task, value).casefold() != value.casefold():
            return f"the answer holds several different {task} lines"
    if not found:
        return "the answer holds neither a Category nor a Sentiment line" if text.strip() else "the answer is empty"
    return found


def shown(value: object) -> str:
    """A value in quotes, cut to a length that fits a message."""
    text = redact(str(value))
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")
