import pytest

import registry.gates
from agent.settings import read_settings
from registry.gates.class_floor import ClassFloorRule
from registry.gates.config import Gates, GatesConfig
from registry.gates.cost import CostRule
from registry.gates.failure_rate import FailureRateRule
from registry.gates.label_flip_rate import LabelFlipRateRule
from registry.gates.latency import LatencyRule
from registry.gates.table import GATES, judge
from registry.gates.threshold import ThresholdRule
from tests.conftest import ROOT
from tests.registry.gates.cases import MISSING, case

ALL = GatesConfig(
    gates=Gates(
        thresholds=(
            ThresholdRule(metric="category_accuracy", at_least=0.9),
            ThresholdRule(metric="sentiment_accuracy", at_least=0.8),
        ),
        class_floors=(ClassFloorRule(metric="category_f1", at_least=0.5),),
        label_flip_rate=LabelFlipRateRule(at_most=0.1),
        latency=LatencyRule(at_most=1000),
        cost=CostRule(at_most=1),
        failure_rate=FailureRateRule(at_most=0.01),
    )
)
GOOD = {
    "category_accuracy": 0.9,
    "sentiment_accuracy": 0.8,
    "category_support.Sports": 50,
    "category_f1.Sports": 0.5,
    "label_flip_rate": 0.1,
    "latency_ms_p95": 1000,
    "cost_usd_per_1k": 1,
    "error_rate": 0.01,
}


def test_every_section_has_its_gate_in_the_module_of_its_name() -> None:
    assert list(GATES) == list(Gates.model_fields)
    for gate in GATES.values():
        assert gate.__module__ == f"{registry.gates.__name__}.{gate.__name__}"


def test_every_gate_that_is_set_is_asked_in_the_order_of_the_table() -> None:
    verdicts = judge(ALL, case(GOOD))
    assert [verdict.gate for verdict in verdicts] == ["threshold", *(gate.__name__ for gate in GATES.values())]
    assert {verdict.word for verdict in verdicts} == {"pass"}


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("name", [name for name in GOOD if "support" not in name])
def test_each_missing_figure_fails_exactly_its_own_gate(name: str, value: float | None) -> None:
    [failed] = [verdict for verdict in judge(ALL, case(GOOD | {name: value})) if not verdict.passed]
    assert failed.reason == f"{name} is missing"
    assert name not in failed.numbers


def test_gates_that_are_not_set_are_off_and_nothing_known_passes_nothing() -> None:
    shipped = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
    verdicts = judge(shipped, case())
    assert [verdict.gate for verdict in verdicts] == ["threshold"] * 5 + ["end_of_life"]
    assert [verdict.passed for verdict in verdicts] == [False] * 5 + [True]


def test_verdicts_are_plain_json_and_back() -> None:
    for verdict in judge(ALL, case(GOOD | {"error_rate": float("nan")})):
        assert type(verdict).model_validate_json(verdict.model_dump_json()) == verdict
