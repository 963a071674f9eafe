"""Runs beside a baseline: what is compared, what is missing, what is better, and what is not said."""

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from agent.errors import DataError
from agent.labels import LabelSet
from eval.compare.compare import compare_runs, measured_figures
from eval.compare.groups import group_runs
from eval.compare.records import ComparedRuns, GroupedRuns, MeasuredFigure
from eval.compare.run_choice import last_runs, latest_and_previous, runs_of_each_candidate
from eval.compare.trend import sparkline, trend
from eval.labeled_set import LabeledSet
from eval.metrics import all_figures, flatten
from eval.metrics.direction import direction_of
from eval.outcomes import task_outcomes
from tests.eval.logged_runs import MISSING, LoggedRuns, predicted


def part(news: LabeledSet, start: int, end: int) -> LabeledSet:
    return LabeledSet(news.path, news.rows[start:end], f"{start}-{end}")


def test_every_logged_metric_has_a_direction_or_is_a_count(news: LabeledSet, labels: LabelSet) -> None:
    answers = predicted(news, labels, 300)
    names = measured_figures(flatten(all_figures(task_outcomes(news, answers, labels), answers)))
    without = {name.partition(".")[0] for name in names if direction_of(name) is None}
    assert without == {"articles", "category_support", "sentiment_support", "cached_input_tokens"}
    assert direction_of("sentiment_recall.Very Neg.") == direction_of("joint_accuracy") == "up"
    assert direction_of("label_flip_rate") == direction_of("latency_ms_p99") == direction_of("cost_usd") == "down"
    assert direction_of("accuracy_of_my_own") is None


def test_better_and_worse_follow_the_direction_and_only_beyond_chance(runs: LoggedRuns, news: LabeledSet) -> None:
    slow = {"latency_ms_p95": 90.0, "latency_ms_p95_ci_low": 80.0, "latency_ms_p95_ci_high": 99.0}
    fast = {"latency_ms_p95": 30.0, "latency_ms_p95_ci_low": 20.0, "latency_ms_p95_ci_high": 40.0}
    unsure = {"latency_ms_p95": 60.0, "latency_ms_p95_ci_low": 30.0, "latency_ms_p95_ci_high": 85.0}
    baseline = runs.log(news, right=300, figures={"cost_usd_per_1k": 0.2} | slow)
    good = runs.log(news, right=360, figures={"cost_usd_per_1k": 0.1, "category_brier": 0.2} | fast)
    equal = runs.log(news, right=302, figures={"cost_usd_per_1k": 0.3} | unsure)
    found = compare_runs([baseline, good, equal])
    better, same = (run.against.changes for run in found.candidates)
    assert found.candidates[0].against.comparisons[0].verdict == "better"
    assert {one.comparisons for run in found.candidates for one in run.against.comparisons} == {2}
    for name in ("category_accuracy", "joint_macro_f1", "latency_ms_p95", "cost_usd_per_1k"):
        assert better[name].outcome == "better", name
    assert better["latency_ms_p95"].difference == -60.0
    assert better["latency_ms_p95"].relative == pytest.approx(-2 / 3)
    assert better["category_brier"].outcome is None
    labels = [change.outcome for name, change in better.items() if name.startswith("category_f1.")]
    assert labels == [None] * len(labels) != [], "eight labels are eight chances to be wrong"
    assert (same["category_accuracy"].outcome, same["latency_ms_p95"].outcome) == (None, None)
    assert same["cost_usd_per_1k"].outcome == "worse"
    back = compare_runs([good, baseline]).candidates[0].against.changes
    assert {back[name].outcome for name in ("category_accuracy", "latency_ms_p95", "cost_usd_per_1k")} == {"worse"}


def test_a_missing_figure_is_missing_on_either_side(runs: LoggedRuns, news: LabeledSet) -> None:
    first = runs.log(news, right=300, figures={"cost_usd_per_1k": 0.2, "category_accuracy": MISSING})
    second = runs.log(news, right=300, figures={"cost_usd_per_1k": MISSING})
    changes = compare_runs([first, second]).candidates[0].against.changes
    assert changes["cost_usd_per_1k"].model_dump() == {
        **{"baseline": 0.2, "candidate": None, "difference": None, "relative": None},
        **{"direction": "down", "outcome": None},
    }
    assert changes["category_accuracy"].baseline is None
    assert changes["error_rate"].relative == 0.0


def test_rows_that_differ_are_counted_and_only_common_ones_are_tested(runs: LoggedRuns, news: LabeledSet) -> None:
    whole, first = runs.log(news, right=400), runs.log(part(news, 0, 250), right=200)
    last = runs.log(part(news, 250, 416), right=100)
    against_part = compare_runs([whole, first]).candidates[0].against
    assert against_part.rows.model_dump() == {"same_set": False, "common": 250, "baseline": 416, "candidate": 250}
    assert {one.rows for one in against_part.comparisons} == {250}
    assert "dataset" in against_part.changed
    assert against_part.comparisons[0].verdict == "worse"
    assert against_part.changes["category_accuracy"].outcome is None, "the figures are of different articles"
    apart = compare_runs([first, last]).candidates[0].against
    assert (apart.rows.common, apart.comparisons) == (0, ())
    assert apart.changes["category_accuracy"].difference == pytest.approx(100 / 166 - 200 / 250)
    assert apart.changes["category_accuracy"].outcome is None, "the intervals lie apart, but so do the articles"


def test_runs_are_found_newest_first_whatever_mlflow_run_had_logged(runs: LoggedRuns, news: LabeledSet) -> None:
    small = part(news, 0, 20)
    old, new = runs.log(small, right=9), runs.log(small, right=10)
    llm = runs.log(
        small, right=12, agent="an-llm", track="external", params={"agent": "a.yaml", "resolved.agent": "an-llm"}
    )
    newest = runs.log(small, right=12, agent="an-llm", track="external", partial="the budget was spent")
    assert latest_and_previous("local-sklearn") == [old, new]
    assert latest_and_previous(None) == [llm, newest], "a partial run counts: the one before it is no longer the newest"
    assert runs_of_each_candidate() == [new, newest]
    assert last_runs(9, "local-sklearn") == [old, new]
    with pytest.raises(DataError, match="'nobody' has no run. Candidates with runs: 'an-llm', 'local-sklearn'"):
        last_runs(2, "nobody")


def test_groups_count_and_weigh_by_articles(runs: LoggedRuns, news: LabeledSet) -> None:
    small, large = part(news, 0, 100), part(news, 0, 300)
    runs.log(small, right=0, agent="a", tags={"ab": "1"}, figures={"spent": 3.0})
    runs.log(large, right=300, agent="b", tags={"ab": "1"})
    runs.log(large, right=150, agent="b", tags={"ab": "2"})
    untagged = runs.log(large, right=150, agent="c", track="external", provider="openai", model="m")
    by_tag = group_runs("tag:ab")
    assert [(group.value, len(group.run_ids), group.articles, group.datasets) for group in by_tag.groups] == [
        ("2", 1, 300, 1),
        ("1", 2, 400, 2),
    ]
    ones = by_tag.groups[1].means
    assert ones["category_accuracy"].mean == pytest.approx(0.75)
    assert (ones["spent"].mean, ones["spent"].runs) == (3.0, 1)
    assert [group.value for group in group_runs("tag:ab", [untagged]).groups] == [None]
    assert {group.value: len(group.run_ids) for group in group_runs("track").groups} == {"external": 1, "local": 2}
    with pytest.raises(DataError, match="No evaluation has the tag 'none'"):
        group_runs("tag:none")


def test_a_trend_never_joins_labelled_sets_or_partial_runs(runs: LoggedRuns, news: LabeledSet) -> None:
    small, large = part(news, 0, 100), part(news, 0, 200)
    for dataset, right, partial in ((small, 50, None), (large, 20, None), (small, 60, None), (large, 9, "stopped")):
        runs.log(dataset, right=right, partial=partial)
    found = trend(9)
    assert [[(place, figure.value) for place, figure in points] for points in found.series("category_accuracy")] == [
        [(0, 0.5), (2, 0.6)],
        [(1, 0.1)],
    ]
    assert sparkline([0.1, 0.2, 0.16]) == "▁█▅"
    assert (sparkline([1, 1]), sparkline([1]), sparkline([])) == ("", "", "")


def test_records_keep_their_schema() -> None:
    """Machines read these. A change of a name or a meaning needs another version, and this test with it."""
    assert set(ComparedRuns.model_fields) == {"kind", "schema_version", "baseline", "candidates", "thresholds"}
    assert set(GroupedRuns.model_fields) == {"kind", "schema_version", "by", "groups"}
    assert ComparedRuns.model_fields["schema_version"].default == 1


def test_figures_keep_intervals_and_a_metric_that_only_looks_like_an_end_stays() -> None:
    found = measured_figures({"a": 1.0, "a_ci_low": 0.5, "a_ci_high": 2.0, "b_ci_low": 3.0, "c": float("nan")})
    assert found == {"a": MeasuredFigure(value=1.0, low=0.5, high=2.0), "b_ci_low": MeasuredFigure(value=3.0)}


def test_runs_that_cannot_be_compared_are_named(runs: LoggedRuns, news: LabeledSet, store: MlflowClient) -> None:
    small = part(news, 0, 20)
    whole = runs.log(small, right=9)
    bare = runs.log(small, right=9, predictions=False)
    with pytest.raises(DataError, match=f"{bare}.*has no predictions.csv"):
        compare_runs([whole, bare])
    store.log_text(bare, "id,title\n1,a\n1,b\n", "predictions.csv")
    with pytest.raises(DataError, match=f"{bare}.*predictions.csv"):
        compare_runs([whole, bare])
    other = runs.log(small, right=9)
    text = mlflow.artifacts.load_text(f"runs:/{other}/evaluation.json")
    store.log_text(other, text.replace('"schema_version":2', '"schema_version":99'), "evaluation.json")
    with pytest.raises(DataError, match=f"{other}.*another version"):
        compare_runs([whole, other])
    with pytest.raises(DataError, match="'nowhere' cannot be read"):
        compare_runs([whole, "nowhere"])


def test_weights_of_a_group_are_the_articles_that_were_asked(runs: LoggedRuns, news: LabeledSet) -> None:
    ids = [runs.log(part(news, 0, 50), right=50), runs.log(part(news, 0, 50), right=0, figures={"articles": 150.0})]
    [group] = group_runs("model", ids).groups
    assert group.articles == 200
    assert group.means["joint_accuracy"].mean == 0.25
    assert "articles" not in group.means
