import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.gates.threshold import ThresholdRule, threshold
from tests.registry.gates.cases import MISSING, case

RULE = ThresholdRule(metric="category_accuracy", at_least=0.9, min_rows=200)
fractions = st.floats(0, 1)


@pytest.mark.parametrize(
    ("value", "articles", "passed"),
    [(0.9, 200, True), (0.1 + 0.8, 400, True), (0.8999, 400, False), (0.95, 199, False), (0.95, None, False)],
)
def test_a_threshold_counts_when_reached_on_enough_articles(value: float, articles: float, passed: bool) -> None:
    verdict = threshold(RULE, case({"category_accuracy": value, "articles": articles}))
    assert (verdict.gate, verdict.passed) == ("threshold", passed)
    assert verdict.reason.startswith("category_accuracy ")
    assert verdict.numbers["category_accuracy"] == value
    assert verdict.numbers["at_least"] == 0.9


@pytest.mark.parametrize("value", MISSING)
def test_a_missing_figure_fails(value: float) -> None:
    verdict = threshold(RULE, case({"category_accuracy": value, "articles": 400}))
    assert not verdict.passed
    assert verdict.reason == "category_accuracy is missing"
    assert verdict.numbers == {"articles": 400, "at_least": 0.9}


def test_a_gate_can_ask_for_the_lower_end_of_the_interval() -> None:
    rule = ThresholdRule(metric="category_accuracy", at_least=0.9, basis="ci_low")
    point = {"category_accuracy": 0.95}
    assert not threshold(rule, case(point)).passed
    assert not threshold(rule, case(point | {"category_accuracy_ci_low": 0.89})).passed
    assert threshold(rule, case(point | {"category_accuracy_ci_low": 0.91})).passed


@given(fractions, fractions, fractions)
def test_a_better_figure_never_fails_where_a_worse_one_passes(limit: float, first: float, second: float) -> None:
    rule = ThresholdRule(metric="category_accuracy", at_least=limit)
    worse, better = (threshold(rule, case({"category_accuracy": value})).passed for value in sorted((first, second)))
    assert better or not worse


@given(st.integers(1, 5000), st.data())
def test_every_share_of_articles_reaches_itself_and_not_one_article_more(rows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, rows))
    rule = ThresholdRule(metric="category_accuracy", at_least=1 - (rows - right) / rows)
    assert threshold(rule, case({"category_accuracy": right / rows})).passed
    assert not threshold(rule, case({"category_accuracy": (right - 1) / rows})).passed
