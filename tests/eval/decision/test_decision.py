"""Decisions from runs in a real store; every count of articles that the cases name is theirs."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from agent.errors import ConfigError, DataError
from agent.settings import parse_settings, read_settings
from eval.commands import commands
from eval.decision.config import DecisionConfig
from eval.decision.decide import Decision, decide
from eval.decision.view import decision_lines
from eval.evaluation import EvaluationRecord
from eval.runs import load_predictions
from eval.selection import select_runs
from tests.conftest import ROOT
from tests.eval.category_runs import gold_labels, log_run, with_mistakes

ROWS = 400
SETTINGS = read_settings(ROOT / "config" / "decision.yaml", DecisionConfig)
Log = Callable[..., EvaluationRecord]

pytestmark = pytest.mark.usefixtures("store")


def log(agent: str, track: str, wrong: range, **more: object) -> EvaluationRecord:
    """A run over 400 articles, wrong at these places."""
    return log_run(agent, track, with_mistakes(gold_labels(ROWS), wrong), **more)  # type: ignore[arg-type]


def decided(*run_ids: str, **settings: object) -> Decision:
    wanted = SETTINGS.model_copy(update=settings)
    selection = select_runs(run_ids, wanted.minimum_articles)
    return decide(selection, {record.run_id: load_predictions(record.run_id) for record in selection.records}, wanted)


def outcome(decision: Decision, rule: str) -> str:
    return next(step.outcome for step in decision.steps if step.rule == rule)


def test_a_cheap_inside_candidate_within_the_margin_wins() -> None:
    log("gpt", "external", range(20), usd_per_1k=0.08, p95=900)
    local = log("linear", "local", range(24), usd_per_1k=0.0, p95=2)
    found = decided()
    assert (found.verdict, found.chosen, found.rules_fired) == ("decided", local.run_id, ("cheaper_inside",))
    assert "gpt minus linear +1.00 points" in found.reason
    assert "saving 100%" in found.reason
    [pair] = found.comparisons
    assert pair.comparison.accuracy.difference == pytest.approx(0.01)
    assert pair.comparison.accuracy.high < 0.05
    assert [candidate.cost_usd_per_day for candidate in found.candidates] == [80.0, 0.0]
    assert found.more_articles is None


def test_the_upper_bound_decides_and_not_the_difference_then_accuracy_does() -> None:
    """4 points are less than 5, but 400 articles do not show it; what is shown is that the external one is better."""
    external = log("gpt", "external", range(20), usd_per_1k=0.08)
    log("linear", "local", range(36), usd_per_1k=0.0)
    found = decided()
    assert outcome(found, "cheaper_inside") == "open"
    assert (found.chosen, found.rules_fired) == (external.run_id, ("most_accurate",))
    without = decided(accuracy_critical=False)
    assert (without.verdict, without.chosen, without.rules_fired) == ("inconclusive", None, ())
    assert without.more_articles is not None
    assert 1000 < ROWS + without.more_articles < 10_000
    assert f"About {without.more_articles:,} more labelled articles would settle it." in decision_lines(without)


def test_several_chances_to_be_close_enough_widen_the_bound() -> None:
    """2.75 points with an upper end of 4.86 are within 5 alone, and not as one of three that are tried."""
    external = log("gpt", "external", range(20), usd_per_1k=0.08)
    tried = [log(f"inside{number}", "internal", range(31), usd_per_1k=0.01) for number in range(3)]
    assert decided(external.run_id, tried[0].run_id).rules_fired == ("cheaper_inside",)
    assert outcome(decided(), "cheaper_inside") == "open"


def test_a_small_saving_is_none() -> None:
    external = log("gpt", "external", range(20), usd_per_1k=0.08)
    log("llama", "internal", range(38, 60), usd_per_1k=0.04)
    found = decided(accuracy_critical=False, latency_critical=False)
    assert outcome(found, "cheaper_inside") == "does not hold"
    assert found.verdict == "inconclusive"
    assert external.run_id != found.chosen
    cheaper = decided(accuracy_critical=False, cost_saving=0.49, accuracy_margin=0.2)
    assert cheaper.chosen_name == "llama"


def test_governance_comes_before_every_preference() -> None:
    log("gpt", "external", range(2), usd_per_1k=0.01, p95=1)
    llama = log("llama", "internal", range(10), usd_per_1k=0.2, p95=300)
    local = log("linear", "local", range(60), usd_per_1k=0.0, p95=2)
    best = decided(governance_required=True, accuracy_critical=False)
    assert (best.chosen, best.rules_fired) == (llama.run_id, ("inside_only",))
    accurate = decided(governance_required=True)
    assert (accurate.chosen, accurate.rules_fired) == (llama.run_id, ("inside_only", "most_accurate"))
    fast = decided(governance_required=True, accuracy_critical=False, latency_critical=True)
    assert (fast.chosen, fast.rules_fired) == (local.run_id, ("inside_only", "lowest_p95"))
    assert decided(latency_critical=True, governance_required=False).chosen_name == "gpt"


def test_governance_without_an_inside_candidate_chooses_none() -> None:
    log("gpt", "external", range(2), usd_per_1k=0.01, p95=1)
    log("claude", "external", range(40), usd_per_1k=0.01, p95=1)
    found = decided(governance_required=True)
    assert (found.verdict, found.chosen) == ("inconclusive", None)
    assert "none was measured" in found.reason
    assert outcome(found, "most_accurate") == "not reached"


def test_the_most_accurate_must_fit_the_budget_and_have_a_cost() -> None:
    log("claude", "external", range(2), usd_per_1k=1.65)
    log("mystery", "external", range(1))
    gpt = log("gpt", "external", range(30), usd_per_1k=0.08)
    local = log("linear", "local", range(80), usd_per_1k=0.0)
    found = decided()
    assert (found.chosen, found.rules_fired) == (gpt.run_id, ("most_accurate",))
    assert "claude ($1,650.00)" in found.reason
    assert "mystery (no measured cost)" in found.reason
    assert decided(budget_usd_per_day=1650).chosen_name == "claude"
    assert decided(budget_usd_per_day=0).chosen == local.run_id
    assert decided(budget_usd_per_day=1649, volume_per_day=10).chosen_name == "claude"


def test_of_equally_accurate_ones_the_cheapest_is_taken() -> None:
    log("gpt", "external", range(20), usd_per_1k=0.3)
    cheap = log("claude", "external", range(21), usd_per_1k=0.2)
    found = decided()
    assert found.chosen == cheap.run_id
    assert "cheapest of 2 equal ones" in found.reason


def test_what_400_articles_do_not_show_is_inconclusive_with_a_number() -> None:
    log("gpt", "external", range(20), usd_per_1k=0.1)
    log("claude", "external", range(50, 74), usd_per_1k=0.2)
    found = decided()
    assert (found.verdict, found.chosen, found.rules_fired) == ("inconclusive", None, ())
    assert "underpowered" in found.reason
    assert found.more_articles is not None
    assert found.more_articles > ROWS
    latency_too = decided(latency_critical=True)
    assert latency_too.verdict == "inconclusive", "a preference that was asked for is not skipped"


def test_best_of_many_equal_ones_is_adjusted() -> None:
    """One of twelve that looks better at 5 % on its own is not, among twelve."""
    log("a00", "external", range(9), usd_per_1k=0.1)
    for number in range(1, 12):
        log(f"a{number:02}", "external", range(20 * number, 20 * number + 21), usd_per_1k=0.1)
    found = decided()
    leader = found.comparisons[0].comparison
    assert leader.p_value < 0.05
    assert found.verdict == "inconclusive"


def test_the_lowest_measured_p95_wins_wherever_it_runs() -> None:
    gpt = log("gpt", "external", range(20), usd_per_1k=0.08, p95=100)
    log("llama", "internal", range(40), usd_per_1k=0.07, p95=300)
    log("linear", "local", range(40), usd_per_1k=0.07)
    found = decided(accuracy_critical=False, latency_critical=True)
    assert (found.chosen, found.rules_fired) == (gpt.run_id, ("lowest_p95",))
    assert "not measured: linear" in found.reason
    missed = decided(accuracy_critical=False, latency_critical=True, latency_p95_ms=105)
    assert missed.verdict == "inconclusive"
    assert outcome(missed, "lowest_p95") == "does not hold"


def test_latencies_that_overlap_leave_it_to_accuracy() -> None:
    log("gpt", "external", range(40), usd_per_1k=0.08, p95=100)
    better = log("claude", "external", range(20), usd_per_1k=0.08, p95=110)
    assert decided(accuracy_critical=False, latency_critical=True).chosen == better.run_id


def test_a_missing_cost_saves_nothing() -> None:
    log("gpt", "external", range(20))
    log("linear", "local", range(20), usd_per_1k=0.0)
    found = decided(accuracy_critical=False)
    assert outcome(found, "cheaper_inside") == "open"
    assert "cost of gpt" in found.reason
    assert found.more_articles is None
    log("claude", "external", range(21), usd_per_1k=0.1)
    log("llama", "internal", range(2))
    priced = decided(accuracy_critical=False)
    assert priced.chosen_name == "linear", "and claude is what it is compared with"
    assert "without a measured cost: llama" in priced.reason


def test_figures_of_other_articles_are_listed_apart() -> None:
    log("gpt", "external", range(20), usd_per_1k=0.08)
    log("linear", "local", range(20), usd_per_1k=0.0)
    apart = log("claude", "external", range(0), usd_per_1k=0.01, digest="d2")
    log_run("linear", "local", gold_labels(10), digest="ten")
    found = decided()
    assert {candidate.name for candidate in found.candidates} == {"gpt", "linear"}
    assert [(run.run_id, run.reason[:14]) for run in found.left_out] == [(apart.run_id, "not comparable")]
    given = decided(apart.run_id, found.candidates[0].run_id)
    assert given.verdict == "inconclusive"
    assert len(given.left_out) == 1


def test_few_articles_and_few_candidates_decide_nothing() -> None:
    first = log_run("gpt", "external", gold_labels(10), usd_per_1k=1)
    log_run("linear", "local", gold_labels(10), usd_per_1k=0)
    found = decided()
    assert (found.verdict, found.more_articles) == ("inconclusive", 190)
    assert decided(first.run_id, first.run_id).verdict == "inconclusive"


def test_the_newest_whole_run_of_each_candidate_counts_and_partial_ones_are_refused() -> None:
    log("gpt", "external", range(20), usd_per_1k=0.08)
    newer = log("gpt", "external", range(30), usd_per_1k=0.08)
    log("linear", "local", range(30), usd_per_1k=0.0)
    partial = log("gpt", "external", range(1), usd_per_1k=0.08, complete="partial")
    assert newer.run_id in {candidate.run_id for candidate in decided().candidates}
    with pytest.raises(DataError, match="partial: the budget was spent"):
        decided(partial.run_id, newer.run_id)


def test_two_runs_of_one_candidate_are_told_apart() -> None:
    first, second = (log("gpt", "external", range(wrong), usd_per_1k=0.08) for wrong in (20, 60))
    found = decided(first.run_id, second.run_id)
    assert found.chosen_name == f"gpt ({first.run_id[:8]})"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"volume_per_day": 0}, "volume_per_day"),
        ({"budget_usd_per_day": float("nan")}, "budget_usd_per_day"),
        ({"governance_required": "yes"}, "governance_required"),
        ({"accuracy_margin": 5}, "accuracy_margin"),
        ({"latency_p95_ms": True}, "latency_p95_ms"),
        ({"rules": []}, "rules"),
        ({"rules": [{"rule": "cheapest"}]}, "rules.0.rule"),
        ({"rules": [{"rule": "lowest_p95", "if": "latency_critical"}]}, "rules.0.if"),
        ({"rules": [{"rule": "lowest_p95"}, {"rule": "inside_only"}]}, "constraint"),
        ({"rules": [{"rule": "lowest_p95"}, {"rule": "lowest_p95"}]}, "twice"),
        ({"buget": 1}, "buget"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_settings(SETTINGS.model_dump(mode="json") | change, DecisionConfig, "decision.yaml")


def test_the_command_says_it_for_people_and_machines(store: MlflowClient, workspace: Path) -> None:
    log("gpt", "external", range(20), usd_per_1k=0.08, p95=900)
    log("evil\x1b[2J\u202e[red]", "local", range(24), usd_per_1k=0.0)
    shown = CliRunner().invoke(commands, ["decide"])
    assert shown.exit_code == 0, shown.output
    assert "Decided: evil" in shown.output
    assert "[red]" in shown.output
    assert not {"\x1b", "\u202e"} & set(shown.output)
    assert "80.00" in shown.output
    found = json.loads(CliRunner().invoke(commands, ["decide", "--json"]).stdout)
    assert Decision.model_validate(found).rules_fired == ("cheaper_inside",)


def test_exit_codes_of_the_command(store: MlflowClient, workspace: Path) -> None:
    run = CliRunner()
    assert run.invoke(commands, ["decide"]).exit_code == 0
    assert run.invoke(commands, ["decide", "--strict"]).exit_code == 1
    assert run.invoke(commands, ["decide", "no-such-run"]).exit_code == 2
    bare = log("gpt", "external", range(20), predictions=False)
    missing = run.invoke(commands, ["decide", bare.run_id])
    assert missing.exit_code == 2
    assert "predictions.csv" in missing.stderr
    with mlflow.start_run() as other:
        pass
    assert run.invoke(commands, ["decide", other.info.run_id]).exit_code == 2
    (workspace / "config" / "decision.yaml").write_text("volume_per_day: many\n", encoding="utf-8")
    wrong = run.invoke(commands, ["decide"])
    assert wrong.exit_code == 2
    assert "volume_per_day" in wrong.stderr
