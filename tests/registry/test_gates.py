from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.settings import read_settings
from registry.gates import ChallengerRule, DuplicateRule, GatesConfig, ThresholdGate, beats, is_duplicate, threshold
from tests.conftest import ROOT


def test_the_shipped_gates_are_the_promised_ones() -> None:
    config = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
    assert {gate.metric: gate.at_least for gate in config.gates} == {
        "category_accuracy": 0.90,
        "category_macro_f1": 0.85,
        "category_macro_precision": 0.80,
        "category_macro_recall": 0.80,
        "sentiment_accuracy": 0.80,
    }
    assert config.challenger.improvement == 0.02


@pytest.mark.parametrize(
    ("metrics", "passed"),
    [
        ({"m": 0.9, "articles": 400}, True),
        ({"m": 0.1 + 0.8, "articles": 400}, True),
        ({"m": 0.8999, "articles": 400}, False),
        ({"m": 0.95, "articles": 199}, False),
        ({"articles": 400}, False),
        ({"m": float("nan"), "articles": 400}, False),
    ],
)
def test_a_threshold_counts_when_reached_and_fails_when_missing(metrics: dict[str, float], passed: bool) -> None:
    verdict = threshold(ThresholdGate(metric="m", at_least=0.9, min_rows=200), metrics)
    assert verdict.passed is passed
    assert "m " in verdict.reason


def test_a_gate_can_ask_for_the_lower_end_of_the_interval() -> None:
    gate = ThresholdGate(metric="m", at_least=0.9, basis="ci_low")
    assert not threshold(gate, {"m": 0.95, "m_ci_low": 0.89, "articles": 9}).passed
    assert threshold(gate, {"m": 0.95, "m_ci_low": 0.91, "articles": 9}).passed


def figures(category: float, sentiment: float = 0.8) -> dict[str, float]:
    return {"category_accuracy": category, "sentiment_accuracy": sentiment, "category_macro_f1": category}


@given(st.integers(1, 97), st.integers(100, 5000))
def test_exactly_two_points_count_whatever_floating_point_says(percent: int, rows: int) -> None:
    champion, challenger = figures(percent / 100), figures((percent + 2) / 100)
    assert beats(ChallengerRule(), challenger, champion).passed
    assert not beats(ChallengerRule(), figures((percent + 2) / 100 - 1 / rows), champion).passed


def test_sentiment_must_not_get_worse_and_nothing_may_be_missing() -> None:
    assert not beats(ChallengerRule(), figures(0.95, 0.79), figures(0.90, 0.80)).passed
    assert not beats(ChallengerRule(), {"category_accuracy": 0.99}, figures(0.90)).passed
    assert not beats(ChallengerRule(), figures(0.99), {"category_accuracy": 0.9}).passed


def test_identical_figures_are_a_duplicate_unless_clearly_cheaper_or_faster() -> None:
    rule = DuplicateRule()
    mine = figures(0.9) | {"latency_ms_p95": 10.0, "cost_usd_per_1k": 1.0}
    assert is_duplicate(rule, mine, mine)
    assert is_duplicate(rule, mine | {"category_accuracy": 0.901}, mine)
    assert not is_duplicate(rule, mine | {"category_accuracy": 0.902}, mine)
    assert not is_duplicate(rule, mine | {"sentiment_accuracy": 0.9}, mine)
    assert not is_duplicate(rule, mine | {"latency_ms_p95": 4.0}, mine)
    assert not is_duplicate(rule, mine | {"cost_usd_per_1k": 0.4}, mine)
    assert is_duplicate(rule, mine | {"latency_ms_p95": 6.0}, mine)


@pytest.mark.parametrize("value", ["no", "off", ".inf", "-.inf", ".nan", "'0.9'"])
def test_a_gate_cannot_be_switched_off_by_accident(tmp_path: Path, value: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(f"gates:\n  - {{metric: m, at_least: {value}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gates\.0\.at_least"):
        read_settings(path, GatesConfig)
