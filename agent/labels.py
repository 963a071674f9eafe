"""The labels an answer may carry. Anything else a model says becomes `UNKNOWN`."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UNKNOWN = "Unknown"
Task = Literal["category", "sentiment"]
TASKS: tuple[Task, ...] = ("category", "sentiment")


class Label(BaseModel):
    """One label with the one-line description that prompts and people read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^\S(.*\S)?$", max_length=64)
    """As it stands in answers and labelled sets."""
    description: str = Field(min_length=1)
    """What belongs under it."""


class LabelSet(BaseModel):
    """The configured categories and sentiments, in display order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    categories: tuple[Label, ...] = Field(min_length=2)
    """The desks a story can belong to."""
    sentiments: tuple[Label, ...] = Field(min_length=2)
    """How the reported event turns out for those it concerns."""

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        for task, names in self.by_task.items():
            folded = [name.casefold() for name in names]
            if len(set(folded)) != len(folded) or UNKNOWN.casefold() in folded:
                raise ValueError(f"{task} must have distinct names other than {UNKNOWN!r}, got {names}")
        return self

    @property
    def by_task(self) -> Mapping[Task, tuple[str, ...]]:
        """Names of the labels of each task."""
        return {"category": self.category_names, "sentiment": self.sentiment_names}

    @property
    def category_names(self) -> tuple[str, ...]:
        """Names of the categories, in order."""
        return tuple(label.name for label in self.categories)

    @property
    def sentiment_names(self) -> tuple[str, ...]:
        """Names of the sentiments, in order."""
        return tuple(label.name for label in self.sentiments)
