import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from agent.errors import EvaluationError
from eval.outcomes import TaskOutcome
from eval.statistics.comparison import Comparison, adjusted, compare

LABELS = ("a", "b", "c")


def outcome(gold: list[int], predicted: list[int], stories: list[int] | None = None) -> TaskOutcome:
    groups = None if stories is None else np.array(stories)
    return TaskOutcome("category", LABELS, np.array(gold), np.array(predicted), None, groups)


def counts(both: int, only_baseline: int, only_candidate: int, neither: int = 0) -> Comparison:
    """A comparison of two candidates that were right together, alone and never so often."""
    sizes = (both, only_baseline, only_candidate, neither)
    baseline, candidate = (np.repeat(right, sizes).tolist() for right in ([0, 0, 1, 1], [0, 1, 0, 1]))
    return compare(outcome([0] * sum(sizes), baseline), outcome([0] * sum(sizes), candidate))


answers = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60
)


@settings(max_examples=60)
@given(answers, st.booleans())
def test_swapping_the_two_negates_every_difference_and_turns_the_verdict(rows: list, in_stories: bool) -> None:
    gold, first, second, stories = map(list, zip(*rows, strict=True))
    groups = stories if in_stories else None
    there = compare(outcome(gold, first, groups), outcome(gold, second, groups))
    back = compare(outcome(gold, second, groups), outcome(gold, first, groups))
    for one, other in ((there.accuracy, back.accuracy), (there.macro_f1, back.macro_f1)):
        assert one.baseline == other.candidate
        assert one.difference == -other.difference
        for low, high in (("low", "high"), ("low_90", "high_90")):
            assert getattr(one, low) == pytest.approx(-getattr(other, high), abs=1e-12)
        assert one.low <= one.low_90 <= one.high_90 <= one.high
    assert there.p_value == back.p_value
    assert there.smallest_detectable == back.smallest_detectable
    assert [label.difference for label in there.classes] == [-label.difference for label in back.classes]
    turned = {"better": "worse", "worse": "better"}
    assert back.verdict == turned.get(there.verdict, there.verdict)


@settings(max_examples=30)
@given(answers, st.permutations(range(3)))
def test_renaming_the_labels_changes_nothing_but_their_names(rows: list, renamed: list[int]) -> None:
    gold, first, second, _ = map(list, zip(*rows, strict=True))
    names = [*renamed, 3]
    there = compare(outcome(gold, first), outcome(gold, second))
    other = compare(*(outcome([names[i] for i in gold], [names[i] for i in one]) for one in (first, second)))
    assert other.accuracy == there.accuracy
    assert other.macro_f1.difference == pytest.approx(there.macro_f1.difference, abs=1e-12)
    assert other.macro_f1.low == pytest.approx(there.macro_f1.low, abs=1e-12)
    assert {LABELS.index(label.label): label.p_value for label in other.classes} == {
        renamed[LABELS.index(label.label)]: label.p_value for label in there.classes
    }


@settings(max_examples=60)
@given(answers)
def test_figures_are_those_of_scikit_learn_and_statsmodels(rows: list) -> None:
    gold, first, second, _ = map(list, zip(*rows, strict=True))
    found = compare(outcome(gold, first), outcome(gold, second))
    for score, predicted in ((found.macro_f1.baseline, first), (found.macro_f1.candidate, second)):
        expected = f1_score(gold, predicted, labels=sorted(set(gold)), average="macro", zero_division=0)
        assert score == pytest.approx(expected, abs=1e-12)
    table = [[0, found.only_baseline_right], [found.only_candidate_right, 0]]
    assert found.p_value == pytest.approx(reference_mcnemar(table, exact=True).pvalue, abs=1e-9)
    assert found.accuracy.difference * len(gold) == pytest.approx(
        found.only_candidate_right - found.only_baseline_right
    )


def test_verdicts() -> None:
    assert counts(80, 5, 14).verdict == "underpowered"
    assert counts(80, 5, 15).verdict == "better"
    assert counts(80, 16, 5).verdict == "worse"
    assert counts(10_000, 100, 100).verdict == "tie"
    assert counts(200, 20, 20).verdict == "underpowered"


def test_identical_predictions_are_a_tie_only_where_the_set_could_tell() -> None:
    """Without discordant articles the 90 % score interval is 0 +- z^2 / (n + z^2), z = 1.645."""
    few, many = counts(100, 0, 0, 10), counts(140, 0, 0, 10)
    assert (few.p_value, few.verdict) == (1, "underpowered")
    assert few.accuracy.high_90 == pytest.approx(2.705543 / (110 + 2.705543), abs=1e-6)
    assert (many.p_value, many.verdict) == (1, "tie")
    assert counts(1, 0, 0).smallest_detectable == 1


def test_a_better_of_many_has_to_be_better_by_more() -> None:
    found = [counts(80, 5, 16), counts(80, 5, 15), counts(500, 5, 60), counts(100, 0, 0)]
    together = adjusted(found)
    assert [one.verdict for one in together] == ["underpowered", "underpowered", "better", "underpowered"]
    assert [one.comparisons for one in together] == [4] * 4
    assert together[0].adjusted_p_value == pytest.approx(3 * found[0].p_value)
    assert all(one.smallest_detectable > alone.smallest_detectable for one, alone in zip(together, found, strict=True))
    assert adjusted(together) == together
    assert adjusted(found[:1]) == found[:1]
    assert adjusted([]) == []
    assert Comparison.model_validate_json(together[0].model_dump_json()) == together[0]


def test_articles_of_one_story_count_as_one() -> None:
    """Twenty articles of two stories that only the candidate gets right prove nothing; twenty stories do."""
    gold, wrong = [0] * 120, [1] * 20 + [0] * 100
    few = [0] * 10 + [1] * 10 + list(range(2, 102))
    alone = compare(outcome(gold, wrong), outcome(gold, gold))
    grouped = compare(outcome(gold, wrong, few), outcome(gold, gold, few))
    each = compare(outcome(gold, wrong, list(range(120))), outcome(gold, gold, list(range(120))))
    assert (alone.verdict, alone.test, alone.stories) == ("better", "exact McNemar", None)
    assert (grouped.verdict, grouped.test, grouped.stories) == (
        "underpowered",
        "sign-flip permutation of stories",
        102,
    )
    assert grouped.p_value == pytest.approx(0.5), "both stories go one way in 2 of 4 swaps"
    assert each.p_value == pytest.approx(alone.p_value, abs=1e-12)
    assert each.verdict == "better"
    width = {one.test: one.accuracy.high - one.accuracy.low for one in (alone, grouped)}
    assert width[grouped.test] > 2 * width[alone.test]
    assert grouped.smallest_detectable > 2 * alone.smallest_detectable


@pytest.mark.parametrize(
    ("baseline", "candidate", "message"),
    [
        (outcome([], []), outcome([], []), "No articles to compare for 'category'"),
        (outcome([0, 1], [0, 1]), outcome([0], [0]), "1 predictions of 'category' cannot be compared over 2 articles"),
        (outcome([0, 1], [0, 1]), outcome([0, 0], [0, 1]), "gold labels or stories of 'category' differ"),
        (outcome([0], [0], [1]), outcome([0], [0]), "gold labels or stories of 'category' differ"),
        (outcome([0], [0]), outcome([0], [0])._replace(labels=("a", "b")), "task and labels must be the same"),
    ],
)
def test_what_cannot_be_compared_is_refused(baseline: TaskOutcome, candidate: TaskOutcome, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare(baseline, candidate)
