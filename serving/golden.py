"""Articles whose labels nobody disputes, and whether the answers to them are right.

Asked of a server by `serving/smoke.py`, and of a new version before it takes over, by a process that has neither MLflow
nor pandas: this module imports neither.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.labels import TASKS, UNKNOWN, Task
from agent.records import Article, Classification
from agent.settings import read_settings

SMOKE_FILE = Path("config/smoke.yaml")
ROUNDING = 1e-4
"""How far the sum of probabilities, which are rounded when they are sent, may be from 1."""


class GoldenArticle(BaseModel):
    """One article and its labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Its name in what is reported; sent along and expected back."""
    title: str = ""
    """As an article has it."""
    content: str = ""
    """As an article has it."""
    category: str
    """What it is called by everyone."""
    sentiment: str | None = None
    """The same, where nobody disputes it; None is not looked at."""

    @property
    def article(self) -> Article:
        """What is asked."""
        return Article(id=self.id, title=self.title, content=self.content)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if problem := self.article.problem():
            raise ValueError(problem)
        return self


class Finding(NamedTuple):
    """What became of one article."""

    id: str
    category: str | None
    """What the answer said."""
    sentiment: str | None
    misses: tuple[str, ...]
    """Labels that are others than expected, each as one sentence."""
    faults: tuple[str, ...]
    """What makes the answer none, each as one sentence."""


class Verdict(NamedTuple):
    """Whether the answers are right."""

    findings: tuple[Finding, ...]
    """One for each article, in order."""
    problem: str | None
    """Why they are not, in one line; None if they are."""

    @property
    def passed(self) -> bool:
        """Whether they are."""
        return self.problem is None


class SmokeSet(BaseModel):
    """`config/smoke.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_misses: int = Field(default=0, ge=0, strict=True)
    """Labels that may be another one; what is no proper answer at all is never allowed."""
    articles: tuple[GoldenArticle, ...] = Field(min_length=1)
    """What is asked, in this order."""

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> Self:
        ids = [article.id for article in self.articles]
        if len(set(ids)) != len(ids):
            raise ValueError(f"each article needs an id of its own, got {ids}")
        return self

    @classmethod
    def from_file(cls, path: Path = SMOKE_FILE) -> Self:
        """Read the file. Raises ConfigError: it cannot be read or has a mistake."""
        return read_settings(path, cls)

    def verdict(self, records: Sequence[Classification]) -> Verdict:
        """Whether these answers, in the order of the articles, are right."""
        if len(records) != len(self.articles):
            return Verdict((), f"{len(self.articles)} articles got {len(records)} answers")
        findings = tuple(map(find, self.articles, records))
        faults = [fault for finding in findings for fault in finding.faults]
        misses = [miss for finding in findings for miss in finding.misses]
        if faults:
            return Verdict(findings, sentence("answers that are none", faults))
        if len(misses) > self.most_misses:
            return Verdict(findings, sentence(f"labels that are others, {self.most_misses} allowed", misses))
        return Verdict(findings, None)


def sentence(what: str, problems: Sequence[str]) -> str:
    """How many there are, and the first of them."""
    return f"{len(problems)} {what}; first {problems[0]}"


def find(golden: GoldenArticle, record: Classification) -> Finding:
    """What became of one article."""
    return Finding(
        golden.id, record.category, record.sentiment, tuple(misses(golden, record)), tuple(faults(golden, record))
    )


def misses(golden: GoldenArticle, record: Classification) -> Iterator[str]:
    """Labels that are others than expected. A task that the model does not judge, or nobody asks about, has none."""
    for task in TASKS:
        expected, label = getattr(golden, task), getattr(record, task)
        if expected is not None and label is not None and label != expected:
            reason = f" ({record.unknown_reason})" if label == UNKNOWN and record.unknown_reason else ""
            yield f"{golden.id!r} has the {task} {label!r}{reason}, not {expected!r}"


def faults(golden: GoldenArticle, record: Classification) -> Iterator[str]:
    """What makes an answer none, whatever its labels."""
    if record.error:
        yield f"{golden.id!r} has no answer ({record.error.type}: {record.error.message})"
        return
    if record.id != golden.id:
        yield f"{golden.id!r} got the answer for {record.id!r}"
    if record.category is None and record.sentiment is None:
        yield f"{golden.id!r} has neither a category nor a sentiment"
    for task in TASKS:
        if problem := probability_problem(task, record):
            yield f"{golden.id!r} has {problem}"


def probability_problem(task: Task, record: Classification) -> str | None:
    """Why a task's probabilities are none, or None."""
    probabilities: dict[str, float] | None = getattr(record, f"{task}_probabilities")
    if probabilities is None:
        return None
    total = math.fsum(probabilities.values())
    if not all(0 <= value <= 1 for value in probabilities.values()) or abs(total - 1) > ROUNDING:
        return f"{task} probabilities that are none or add up to {total:.6g}, not to 1"
    label = getattr(record, task)
    if label not in probabilities and label != UNKNOWN:
        return f"the {task} {label!r}, which has no probability"
    return None
