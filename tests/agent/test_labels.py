import pytest
from pydantic import ValidationError

from agent.labels import Label, LabelSet


def labels_of(*names: str) -> list[Label]:
    return [Label(name=name, description="what belongs here") for name in names]


def test_shipped_labels_are_the_eight_categories_and_three_sentiments(labels: LabelSet) -> None:
    assert labels.category_names == (
        "Politics",
        "Technology",
        "Business",
        "Sports",
        "Entertainment",
        "Health",
        "Science",
        "World News",
    )
    assert labels.sentiment_names == ("Positive", "Neutral", "Negative")


@pytest.mark.parametrize("names", [("Sports", "sports"), ("Sports", "Unknown"), ("Sports",)])
def test_ambiguous_or_too_few_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        LabelSet(categories=tuple(labels_of(*names)), sentiments=tuple(labels_of("Good", "Bad")))
