import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.statistics.comparison import Comparison
from registry.gates.saving import SavingRule, saves
from registry.gates.verdict import Case
from tests.registry.gates.cases import MISSING, case, compared

RULE = SavingRule()
EQUAL = compared(390, 1, 1, 8)


def with_low(low: float) -> dict[str, Comparison]:
    """The comparison of two that are equal, but for the lower end of the interval."""
    equal = EQUAL["category"]
    return {"category": equal.model_copy(update={"accuracy": equal.accuracy.model_copy(update={"low": low})})}


def cheaper(cost: float | None, latency: float | None, low: float = -0.01) -> Case:
    champion = {"cost_usd_per_1k": 0.6, "latency_ms_p95": 900.0}
    return case({"cost_usd_per_1k": cost, "latency_ms_p95": latency}, champion=champion, comparisons=with_low(low))


@pytest.mark.parametrize(
    ("cost", "latency", "words"),
    [
        (0.3, 900, "cost is 0.50 of the champion's"),
        (0.1 + 0.2, None, "cost is 0.50 of the champion's"),
        (None, 450, "p95 latency is 0.50 of the champion's"),
        (0, 0, "cost is 0.00 of the champion's, 0.50 needed; p95 latency is 0.00"),
    ],
)
def test_half_the_cost_or_half_the_latency_suffice(cost: float | None, latency: float | None, words: str) -> None:
    verdict = saves(RULE, cheaper(cost, latency))
    assert (verdict.gate, verdict.passed) == ("saving", True)
    assert words in verdict.reason
    assert verdict.numbers["category_accuracy_difference_ci_low"] == -0.01


def test_a_little_more_than_half_does_not() -> None:
    verdict = saves(RULE, cheaper(0.31, 460))
    assert not verdict.passed
    assert verdict.reason.startswith("no saving: cost is 0.52 of the champion's, 0.50 needed; p95 latency is 0.51")
    assert saves(SavingRule(cost_share=0.6), cheaper(0.31, 460)).passed
    assert saves(SavingRule(latency_share=0.6), cheaper(0.31, 460)).passed


@pytest.mark.parametrize(
    ("low", "passed"), [(-0.03, True), (0.87 - 0.9, True), (-0.0301, False), (float("nan"), False)]
)
def test_it_must_not_be_worse_by_the_lower_end_of_the_interval(low: float, passed: bool) -> None:
    assert saves(RULE, cheaper(0.1, 100, low)).passed is passed


@pytest.mark.parametrize("value", MISSING)
def test_missing_figures_fail(value: float | None) -> None:
    assert not saves(RULE, cheaper(value, value)).passed
    assert "interval of category accuracy is missing" in saves(RULE, cheaper(0.1, 1)._replace(comparisons={})).reason
    champions = {name: value for name in ("cost_usd_per_1k", "latency_ms_p95") if value is not None}
    assert not saves(RULE, cheaper(0.1, 1)._replace(champion=champions)).passed


def test_of_a_champion_that_costs_nothing_nothing_can_be_saved() -> None:
    free = cheaper(0.0, None)._replace(champion={"cost_usd_per_1k": 0.0})
    assert saves(RULE, free).reason == "no saving: cost cannot be compared; p95 latency cannot be compared"


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_cheaper_one_never_fails_where_a_dearer_one_passes(first: float, second: float) -> None:
    better, worse = (saves(RULE, cheaper(cost, 900)).passed for cost in sorted((first, second)))
    assert better or not worse


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_lower_end_never_fails_where_a_lower_one_passes(first: float, second: float) -> None:
    worse, better = (saves(RULE, cheaper(0.1, 900, low)).passed for low in sorted((first, second)))
    assert better or not worse
