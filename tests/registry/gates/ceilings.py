"""What every gate with a ceiling promises."""

from collections.abc import Callable
from typing import TypeVar

from registry.gates.ceiling import CeilingRule
from registry.gates.verdict import Case, Verdict
from tests.registry.gates.cases import MISSING, case

Rule = TypeVar("Rule", bound=CeilingRule)


def check_ceiling(gate: Callable[[Rule, Case], Verdict], rule: type[Rule], metric: str, rows: str = "articles") -> None:
    """Exactly the limit passes; more, nothing, no number and too few articles fail; the verdict says what it saw."""
    ten = rule(at_most=0.3, min_rows=200)
    passed = gate(ten, case({metric: 0.1 + 0.2, rows: 200}))
    assert passed.passed
    assert passed.gate == gate.__name__
    assert passed.numbers == {metric: 0.1 + 0.2, rows: 200, "at_most": 0.3}
    assert passed.reason == f"{metric} 0.3 <= 0.3"
    assert gate(ten, case({metric: 0, rows: 200})).passed
    above = gate(ten, case({metric: 0.301, rows: 200}))
    assert not above.passed
    assert above.reason == f"{metric} 0.301 > 0.3"
    for value in MISSING:
        missing = gate(ten, case({metric: value, rows: 200}))
        assert not missing.passed
        assert missing.reason == f"{metric} is missing"
        assert not gate(ten, case({metric: 0.1, rows: value})).passed
    assert not gate(ten, case({metric: 0.1, rows: 199})).passed
    assert gate(rule(at_most=0.3), case({metric: 0.1})).passed


def check_upper_end(gate: Callable[[Rule, Case], Verdict], rule: type[Rule], metric: str) -> None:
    """The upper end of the interval can be asked for."""
    upper = rule(at_most=0.3, basis="ci_high")
    assert not gate(upper, case({metric: 0.1})).passed
    assert not gate(upper, case({metric: 0.1, f"{metric}_ci_high": 0.4})).passed
    assert gate(upper, case({metric: 0.1, f"{metric}_ci_high": 0.3})).passed
