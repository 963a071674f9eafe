import pytest

from eval.statistics.comparison import adjusted
from registry.gates.evidence import EvidenceRule, evidence_suffices
from tests.registry.gates.cases import case, compared

RULE = EvidenceRule()
BETTER = compared(360, 5, 30, 5)


def test_better_on_enough_articles_suffices() -> None:
    verdict = evidence_suffices(RULE, case(comparisons=BETTER))
    assert (verdict.gate, verdict.word) == ("evidence", "pass")
    assert verdict.reason.startswith("category is better: +6.25 points, 95 % interval")
    assert verdict.numbers["rows"] == 400
    assert verdict.numbers["min_rows"] == 200
    assert verdict.numbers["category_accuracy_difference"] == pytest.approx(0.0625)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((360, 30, 5, 5), "category is worse, better is needed"),
        ((399, 0, 1, 0), "category is tie, better is needed"),
        ((360, 15, 20, 5), "category is underpowered, better is needed"),
        ((150, 0, 49, 0), "the difference was measured on 199 articles, at least 200 are needed"),
    ],
)
def test_anything_else_does_not(sizes: tuple[int, int, int, int], words: str) -> None:
    verdict = evidence_suffices(RULE, case(comparisons=compared(*sizes)))
    assert not verdict.passed
    assert words in verdict.reason


def test_exactly_two_hundred_articles_are_enough() -> None:
    assert evidence_suffices(RULE, case(comparisons=compared(150, 0, 50))).passed
    assert not evidence_suffices(EvidenceRule(min_rows=201), case(comparisons=compared(150, 0, 50))).passed


def test_rows_that_candidates_were_chosen_on_are_told_apart() -> None:
    [chosen, *_] = adjusted([BETTER["category"], *[compared(360, 15, 20, 5)["category"]] * 11])
    verdict = evidence_suffices(RULE, case(comparisons={"category": chosen}))
    assert verdict.word == "warn"
    assert "400 articles that 12 candidates were chosen from" in verdict.reason
    assert verdict.numbers["comparisons"] == 12


def test_holms_adjustment_counts() -> None:
    close = compared(380, 4, 14, 2)["category"]
    assert close.verdict == "better"
    [chosen, *_] = adjusted([close, *[compared(360, 15, 20, 5)["category"]] * 11])
    assert not evidence_suffices(RULE, case(comparisons={"category": chosen})).passed


def test_no_comparison_or_a_missing_number_fails() -> None:
    assert not evidence_suffices(RULE, case()).passed
    assert not evidence_suffices(RULE, case(comparisons={"sentiment": BETTER["category"]})).passed
    broken = BETTER["category"].model_copy(update={"adjusted_p_value": float("nan")})
    verdict = evidence_suffices(RULE, case(comparisons={"category": broken}))
    assert (verdict.passed, verdict.reason) == (False, "adjusted_p_value is missing")
