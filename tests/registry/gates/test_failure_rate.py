from registry.gates.failure_rate import FailureRateRule, failure_rate
from tests.registry.gates.ceilings import check_ceiling, check_upper_end


def test_it_must_not_exceed_its_ceiling() -> None:
    check_ceiling(failure_rate, FailureRateRule, "error_rate")
    check_upper_end(failure_rate, FailureRateRule, "error_rate")
