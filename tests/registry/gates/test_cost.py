import pytest
from pydantic import ValidationError

from registry.gates.cost import CostRule, cost
from tests.registry.gates.ceilings import check_ceiling


def test_it_must_not_exceed_its_ceiling() -> None:
    check_ceiling(cost, CostRule, "cost_usd_per_1k")


def test_a_cost_has_no_interval_to_ask_for() -> None:
    with pytest.raises(ValidationError, match="basis"):
        CostRule.model_validate({"at_most": 1.0, "basis": "ci_high"})
