import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.gates.improvement import ImprovementRule, improves
from registry.gates.saving import SavingRule
from registry.gates.verdict import Case, Verdict
from tests.registry.gates.cases import MISSING, case, compared

RULE = ImprovementRule()
fractions = st.floats(0, 1)


def figures(category: float | None, sentiment: float | None = 0.8) -> dict[str, float]:
    both = {"category_accuracy": category, "sentiment_accuracy": sentiment, "articles": 400.0}
    return {name: value for name, value in both.items() if value is not None}


def against(mine: dict[str, float], champion: dict[str, float] | None, rule: ImprovementRule = RULE) -> Verdict:
    return improves(rule, case(mine, champion=champion))


@given(st.integers(1, 20_000), st.data())
@example(50, None)
def test_exactly_two_points_count_on_every_number_of_articles_and_one_article_less_does_not(
    fifties: int, data: st.DataObject | None
) -> None:
    rows, needed = 50 * fifties, fifties
    right = data.draw(st.integers(0, rows - needed)) if data else 0
    champion = figures(right / rows)
    assert against(figures((right + needed) / rows), champion).passed
    assert not against(figures((right + needed - 1) / rows), champion).passed


def test_exactly_two_points_count_for_every_pair_of_a_thousand_articles() -> None:
    failed = [right for right in range(981) if not against(figures((right + 20) / 1000), figures(right / 1000)).passed]
    assert failed == []
    assert any((right + 20) / 1000 - right / 1000 < 0.02 for right in range(981))  # what plain floats would reject


@given(fractions, fractions, fractions, fractions)
def test_a_better_figure_never_fails_where_a_worse_one_passes(
    champion: float, first: float, second: float, sentiment: float
) -> None:
    worse, better = (against(figures(value), figures(champion)).passed for value in sorted((first, second)))
    assert better or not worse
    worse, better = (against(figures(1, value), figures(0.5, sentiment)).passed for value in sorted((first, second)))
    assert better or not worse


def test_the_verdict_says_what_it_saw() -> None:
    verdict = against(figures(0.93), figures(0.90))
    assert (verdict.gate, verdict.passed) == ("improvement", True)
    assert verdict.reason == "category accuracy +3.00 points on the champion, +2.00 needed"
    assert verdict.numbers == {
        "category_accuracy": 0.93,
        "champion_category_accuracy": 0.90,
        "category_accuracy_difference": 0.03,
        "sentiment_accuracy": 0.8,
        "champion_sentiment_accuracy": 0.8,
        "sentiment_accuracy_difference": 0.0,
        "articles": 400.0,
        "at_least": 0.02,
    }


def test_sentiment_must_not_get_worse() -> None:
    worse = against(figures(0.95, 0.79), figures(0.90, 0.80))
    assert not worse.passed
    assert worse.reason == "sentiment accuracy is 1.00 points below the champion's"
    assert against(figures(0.95, 0.79), figures(0.90, 0.80), ImprovementRule(sentiment_may_drop=0.01)).passed


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("name", ["category_accuracy", "sentiment_accuracy"])
def test_a_missing_figure_of_either_fails(name: str, value: float | None) -> None:
    without = {key: one for key, one in (figures(0.99) | {name: value}).items() if one is not None}
    for verdict in (against(without, figures(0.5)), against(figures(0.99), without)):
        assert not verdict.passed
        assert f"{name} is missing" in verdict.reason


def test_no_champion_is_nothing_to_improve_on() -> None:
    assert against(figures(0.99), None).reason == "there is no champion to compare with"
    assert not against(figures(0.99), None).passed


def test_enough_articles_can_be_asked_for() -> None:
    assert against(figures(0.95), figures(0.9), ImprovementRule(min_rows=400)).passed
    assert not against(figures(0.95), figures(0.9), ImprovementRule(min_rows=401)).passed


def test_the_lower_end_of_the_paired_interval_can_be_asked_for() -> None:
    rule = ImprovementRule(basis="ci_low")
    candidate = case(figures(0.95), champion=figures(0.90))
    assert "interval of category accuracy is missing" in improves(rule, candidate).reason
    clear, unclear = compared(340, 0, 60), compared(340, 20, 40)
    assert improves(rule, candidate._replace(comparisons=clear)).passed
    assert not improves(rule, candidate._replace(comparisons=unclear)).passed


def saving_case(share: float = 0.5) -> Case:
    """As right as the champion, at a share of its cost."""
    mine, champion = figures(0.9) | {"cost_usd_per_1k": share}, figures(0.9) | {"cost_usd_per_1k": 1.0}
    return case(mine, champion=champion, comparisons=compared(390, 1, 1, 8))


def test_the_other_path_is_closed_unless_switched_on_and_is_named() -> None:
    closed = improves(RULE, saving_case())
    assert (closed.gate, closed.passed) == ("improvement", False)
    opened = ImprovementRule(saving=SavingRule())
    through = improves(opened, saving_case())
    assert (through.gate, through.passed) == ("saving", True)
    assert through.numbers["category_accuracy_difference"] == 0.0
    neither = improves(opened, saving_case(0.51))
    assert (neither.gate, neither.passed) == ("improvement", False)
    assert "+2.00 needed; no saving: cost is 0.51" in neither.reason


def test_the_first_path_is_named_where_both_are_open() -> None:
    better = saving_case()._replace(metrics=figures(0.95) | {"cost_usd_per_1k": 0.1})
    verdict = improves(ImprovementRule(saving=SavingRule()), better)
    assert (verdict.gate, verdict.passed) == ("improvement", True)


def test_the_other_path_asks_for_sentiment_and_articles_too() -> None:
    opened = ImprovementRule(saving=SavingRule(), min_rows=400)
    assert improves(opened, saving_case()).passed
    sad = saving_case()
    assert not improves(opened, sad._replace(metrics={**sad.metrics, "sentiment_accuracy": 0.79})).passed
    assert not improves(opened, sad._replace(metrics={**sad.metrics, "articles": 399})).passed
