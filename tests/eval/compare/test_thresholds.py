"""`--fail-on`: how it is written, what breaks it, and that nothing passes because it is unknown."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataError
from eval.compare.compare import compare_runs
from eval.compare.thresholds import OPERATORS, parse_threshold, with_thresholds
from eval.labeled_set import LabeledSet
from tests.eval.logged_runs import MISSING, LoggedRuns

names = st.text(string.ascii_letters + string.digits + "_. <>-", min_size=1).map(str.strip).filter(bool)


@given(names, st.sampled_from(sorted(OPERATORS)), st.decimals(-1000, 1000, places=4), st.booleans())
def test_a_threshold_reads_back_whatever_the_label_holds(name: str, sign: str, limit: object, relative: bool) -> None:
    if name[-1] in "<>" or any(char in name for char in "<>"):
        name = f"category_f1.{name}x"
    found = parse_threshold(f" {name} {sign} {limit}{'%' if relative else ''} ")
    assert (found.metric, found.sign, found.relative) == (name, sign, relative)
    assert found.limit == float(str(limit)) / (100 if relative else 1)


@pytest.mark.parametrize(
    "text",
    ["", "category_accuracy", "category_accuracy<", "<0.1", "category_accuracy=0.1", "a<nan", "a<inf", "a<-0.01 points"]
    + ["a<1e400", "a<0.1%%", "a<--1", "a<\n"],
)
def test_what_is_no_threshold_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(ValueError, match="no threshold; expected METRIC"):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("category_accuracy<-0.01", False),  # exactly -0.01: 0.94 - 0.95 is a little less in binary
        ("category_accuracy<=-0.01", True),
        ("category_accuracy<-0.009", True),
        ("latency_ms_p95>20%", False),
        ("latency_ms_p95>=20%", True),
        ("latency_ms_p95>19", True),
        ("cost_usd_per_1k>0%", True),
        ("error_rate>0%", False),
        ("error_rate>0", False),
    ],
)
def test_a_difference_is_judged_to_the_digit(runs: LoggedRuns, news: LabeledSet, text: str, broken: bool) -> None:
    few = LabeledSet(news.path, news.rows[:10], "few")
    one = runs.log(few, right=9, figures={"category_accuracy": 0.95, "latency_ms_p95": 100.0, "cost_usd_per_1k": 0.0})
    two = runs.log(few, right=9, figures={"category_accuracy": 0.94, "latency_ms_p95": 120.0, "cost_usd_per_1k": 0.1})
    [result] = with_thresholds(compare_runs([one, two]), [parse_threshold(text)]).thresholds
    assert result.broken is broken, result.reason


def test_what_cannot_be_judged_is_broken(runs: LoggedRuns, news: LabeledSet) -> None:
    few = LabeledSet(news.path, news.rows[:10], "few")
    whole = runs.log(few, right=5, figures={"cost_usd_per_1k": 0.0})
    lacking = runs.log(few, right=10, figures={"sentiment_accuracy": MISSING, "cost_usd_per_1k": 1.0})
    partial = runs.log(few, right=10, partial="the budget was spent")
    texts = ["sentiment_accuracy<-1", "label_flip_rate>1", "cost_usd_per_1k<-99%", "category_accuracy<-1"]
    found = with_thresholds(compare_runs([whole, lacking, partial]), [parse_threshold(text) for text in texts])
    assert [result.broken for result in found.thresholds] == [True, True, True, False, True, True, True, True]
    reasons = [result.reason for result in found.thresholds]
    assert reasons[0] == f"sentiment_accuracy is missing in run {lacking}"
    assert reasons[1] == f"label_flip_rate is missing in run {whole}"
    assert "0 in the baseline" in reasons[2]
    assert all("partial (the budget was spent)" in reason for reason in reasons[4:6:2])


def test_a_metric_that_nobody_knows_is_wrong_input_that_names_the_known(runs: LoggedRuns, news: LabeledSet) -> None:
    few = LabeledSet(news.path, news.rows[:10], "few")
    found = compare_runs([runs.log(few, right=9), runs.log(few, right=9)])
    for metric in ("category_acuracy", "category_f1.Weather"):
        with pytest.raises(DataError, match=f"'{metric}'.*Available: .*category_accuracy.*category_f1.LABEL"):
            with_thresholds(found, [parse_threshold(f"{metric}<0")])
