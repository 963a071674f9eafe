"""The prompt: a template from configuration, filled with labels and with an article that cannot break out of it."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.labels import Label, LabelSet
from agent.records import Article

AnswerFormat = Literal["json_schema", "lines"]
"""How a model is asked to answer: as JSON that its schema forces on it, or as two lines."""
VARIABLE = re.compile(r"{{(\w+)}}")
DELIMITED = re.compile(r"<\w+>.*{{content}}.*</\w+>", re.DOTALL)
SYSTEM_VARIABLES = frozenset({"categories", "sentiments", "answer_format"})
USER_VARIABLES = frozenset({"title", "content"})
AGAIN_VARIABLES = frozenset({"problem"})
MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
KEPT_CONTROLS = "\n\t"
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories of characters that nobody sees: controls, formats, surrogates, private and unassigned ones."""
LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
ALSO_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Fillers and variation selectors, which are letters and marks to Unicode."""


class AnswerFormats(BaseModel):
    """What a model is told about the form of its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    json_schema: str = Field(min_length=1)
    """For models that are held to a JSON schema."""
    lines: str = Field(min_length=1)
    """For all others."""


class PromptTemplate(BaseModel):
    """A zero-shot prompt. Its placeholders are written `{{name}}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")
    """Its name in MLflow's prompt registry."""
    system: str
    """Instructions, with `{{categories}}`, `{{sentiments}}` and `{{answer_format}}`."""
    user: str
    """The article, with `{{title}}` and `{{content}}` between delimiters made of angle brackets."""
    answer_formats: AnswerFormats
    """What stands for `{{answer_format}}`."""
    again: str
    """What is said after an answer that could not be read, with `{{problem}}`."""
    version: str | None = None
    """Its version in the prompt registry, known once it is registered there."""

    @model_validator(mode="after")
    def _variables_are_right(self) -> Self:
        for field, wanted in (("system", SYSTEM_VARIABLES), ("user", USER_VARIABLES), ("again", AGAIN_VARIABLES)):
            found = set(VARIABLE.findall(getattr(self, field)))
            if found != wanted:
                raise ValueError(
                    f"{field!r} must use exactly {sorted(wanted)} as {{{{name}}}}, it uses {sorted(found)}"
                )
        if not DELIMITED.search(self.user):
            raise ValueError("'user' must have the article between tags such as <article> and </article>")
        return self

    @property
    def hash(self) -> str:
        """sha256 of the texts; the version does not count."""
        texts = self.model_dump(exclude={"version"})
        return hashlib.sha256(json.dumps(texts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def instructions(self, labels: LabelSet, answer_format: AnswerFormat) -> str:
        """The system text."""
        values = {
            "categories": label_lines(labels.categories),
            "sentiments": label_lines(labels.sentiments),
            "answer_format": getattr(self.answer_formats, answer_format).strip(),
        }
        return fill(self.system, values).strip()

    def article(self, article: Article) -> str:
        """The user text. Angle brackets of the article are escaped, so it cannot write a delimiter."""
        return fill(self.user, {"title": as_data(article.title), "content": as_data(article.content)}).strip()

    def once_more(self, problem: str) -> str:
        """What is said after an answer that could not be read."""
        return fill(self.again, {"problem": problem}).strip()


class Turn(NamedTuple):
    """One message of a conversation after the system text."""

    role: Literal["user", "assistant"]
    text: str


def label_lines(labels: Iterable[Label]) -> str:
    """Labels with their descriptions, a line each."""
    return "\n".join(f"- {label.name}: {label.description}" for label in labels)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values for placeholders in one pass, so that a placeholder inside a value stays text."""
    return VARIABLE.sub(lambda found: values[found[1]], template)


def as_data(text: str) -> str:
    """Text of an article as it stands in the prompt: without invisible characters, its markup escaped."""
    return visible(text).translate(MARKUP)


def visible(text: str) -> str:
    """The text without characters that nobody sees; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    seen = (
        sign
        for sign in LINE_END.sub("\n", text)
        if sign in KEPT_CONTROLS or unicodedata.category(sign) not in INVISIBLE
    )
    return ALSO_INVISIBLE.sub("", "".join(seen))
