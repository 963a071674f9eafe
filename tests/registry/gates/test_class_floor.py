import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.gates.class_floor import ClassFloorRule, class_floor
from tests.registry.gates.cases import MISSING, case

RULE = ClassFloorRule(metric="category_recall", at_least=0.6, min_rows=10)
FIGURES = {
    "category_support.Sports": 50,
    "category_recall.Sports": 0.9,
    "category_recall.Sports_ci_low": 0.8,
    "category_support.World News": 10,
    "category_recall.World News": 0.6,
    "category_recall.World News_ci_low": 0.3,
    "sentiment_support.Neutral": 3,
}


def test_every_label_of_the_articles_must_reach_the_floor() -> None:
    verdict = class_floor(RULE, case(FIGURES))
    assert (verdict.gate, verdict.passed) == ("class_floor", True)
    assert verdict.numbers["category_recall.World News"] == 0.6
    failed = class_floor(RULE, case(FIGURES | {"category_recall.World News": 0.59}))
    assert not failed.passed
    assert failed.reason == "category_recall.World News 0.5900 < 0.6000"


def test_the_lower_end_of_the_interval_can_be_asked_for() -> None:
    rule = RULE.model_copy(update={"basis": "ci_low"})
    assert class_floor(rule, case(FIGURES)).reason == "category_recall.World News_ci_low 0.3000 < 0.6000"
    assert class_floor(rule, case(FIGURES | {"category_recall.World News_ci_low": 0.6})).passed


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("name", ["category_recall.Sports", "category_support.World News"])
def test_a_missing_figure_fails(name: str, value: float | None) -> None:
    rule = RULE.model_copy(update={"labels": ("Sports", "World News")})
    assert class_floor(rule, case(FIGURES)).passed
    assert not class_floor(rule, case(FIGURES | {name: value})).passed


def test_a_label_that_is_named_must_be_there_and_no_labels_are_no_pass() -> None:
    verdict = class_floor(RULE.model_copy(update={"labels": ("Sport",)}), case(FIGURES))
    assert not verdict.passed
    assert "category_recall.Sport is missing" in verdict.reason
    assert not class_floor(RULE, case()).passed


def test_few_articles_of_a_label_fail() -> None:
    verdict = class_floor(RULE, case(FIGURES | {"category_support.World News": 9}))
    assert not verdict.passed
    assert "was measured on 9 articles, at least 10" in verdict.reason


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_better_figure_never_fails_where_a_worse_one_passes(limit: float, first: float, second: float) -> None:
    rule = ClassFloorRule(metric="category_recall", at_least=limit)
    worse, better = (
        class_floor(rule, case(FIGURES | {"category_recall.Sports": value})).passed for value in sorted((first, second))
    )
    assert better or not worse
