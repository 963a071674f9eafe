from registry.gates.latency import LatencyRule, latency
from tests.registry.gates.ceilings import check_ceiling, check_upper_end


def test_it_must_not_exceed_its_ceiling() -> None:
    check_ceiling(latency, LatencyRule, "latency_ms_p95")
    check_upper_end(latency, LatencyRule, "latency_ms_p95")
