from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import EvaluationError
from eval.files import write_repeats
from eval.labeled_articles import LabeledArticle
from eval.metrics import flatten
from eval.metrics.repeats import repeat_figures
from eval.outcomes import Answer, Bill, Prediction
from eval.statistics.intervals import wilson

FREE = Bill(0, 0, 0, None, None, None, None, None)


def answered(labels: list[str], gold: str = "a", story: str | None = None) -> list[Prediction]:
    """One pass over as many articles, all with the same gold category."""
    return [
        Prediction(
            LabeledArticle(str(place), "t", "", {"category": gold}, story),
            Answer(label, None, None, None, None, FREE),
        )
        for place, label in enumerate(labels)
    ]


def test_figures_of_three_passes() -> None:
    """Pairs agree on 3 of 3, 1 of 3 and 0 of 3: the mean is 4 of 9."""
    passes = [answered(["a", "a", "a"]), answered(["a", "a", "b"]), answered(["a", "b", "Unknown"])]
    found = flatten(repeat_figures(passes))
    assert found["category_agreement"] == pytest.approx(4 / 9)
    assert found["category_unstable_rate"] == pytest.approx(2 / 3)
    assert (found["category_unstable_rate_ci_low"], found["category_unstable_rate_ci_high"]) == wilson(2, 3)
    assert found["category_accuracy_min"] == pytest.approx(1 / 3)
    assert found["category_accuracy_max"] == 1
    assert not [name for name in found if name.startswith("sentiment")], "nobody was asked for it"


@settings(max_examples=50)
@given(
    st.integers(1, 12).flatmap(
        lambda articles: st.lists(
            st.lists(st.sampled_from("abc"), min_size=articles, max_size=articles), min_size=2, max_size=5
        )
    )
)
def test_agreement_is_the_mean_over_all_pairs(labels: list[list[str]]) -> None:
    found = repeat_figures([answered(one) for one in labels])
    pairs = [
        sum(left == right for left, right in zip(first, second, strict=True)) / len(first)
        for first, second in combinations(labels, 2)
    ]
    assert found["category_agreement"].value == pytest.approx(sum(pairs) / len(pairs))
    unstable = sum(len(set(row)) > 1 for row in zip(*labels, strict=True))
    assert found["category_unstable_rate"].value == pytest.approx(unstable / len(labels[0]))


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([], "0 passes over 0 articles"),
        ([answered(["a"])], "1 passes over 1 articles"),
        ([[], []], "2 passes over 0 articles"),
        ([answered(["a", "b"]), answered(["a"])], "Pass 2 is not over the articles of the first"),
        ([answered(["a"]), answered(["a"], gold="b")], "Pass 2 is not over the articles of the first"),
    ],
)
def test_passes_that_cannot_be_compared_are_refused(passes: list[list[Prediction]], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        repeat_figures(passes)


def test_the_file_of_repeats_joins_by_article_also_where_a_pass_has_holes(tmp_path: Path) -> None:
    first, second = answered(["a", "b", "c"]), answered(["a", "b", "c"])
    write_repeats(tmp_path / "repeats.csv", [first, [second[0], second[2]]])
    lines = (tmp_path / "repeats.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:4] for line in lines] == [
        ["id", "stable", "category_1", "category_2"],
        ["0", "True", "a", "a"],
        ["1", "", "b", ""],
        ["2", "True", "c", "c"],
    ]
