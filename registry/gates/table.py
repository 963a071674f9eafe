"""All gates in their order. A new one is a module here, a line in this table, a section in `config.py` and a test."""

from collections.abc import Callable, Mapping
from typing import Any

from registry.gates.class_floor import class_floor
from registry.gates.config import Gates, GatesConfig
from registry.gates.cost import cost
from registry.gates.end_of_life import end_of_life
from registry.gates.failure_rate import failure_rate
from registry.gates.label_flip_rate import label_flip_rate
from registry.gates.latency import latency
from registry.gates.threshold import threshold
from registry.gates.verdict import Case, Verdict

GATES: Mapping[str, Callable[[Any, Case], Verdict]] = {
    "thresholds": threshold,
    "class_floors": class_floor,
    "label_flip_rate": label_flip_rate,
    "latency": latency,
    "cost": cost,
    "failure_rate": failure_rate,
    "end_of_life": end_of_life,
}
"""By the name of the section that holds its rule, or several of them."""


def judge(config: GatesConfig, case: Case) -> tuple[Verdict, ...]:
    """What every gate that is set says about a candidate."""
    return tuple(gate(rule, case) for section, gate in GATES.items() for rule in _rules(config.gates, section))


def _rules(gates: Gates, section: str) -> tuple[Any, ...]:
    found = getattr(gates, section)
    if isinstance(found, tuple):
        return found
    return () if found is None else (found,)
