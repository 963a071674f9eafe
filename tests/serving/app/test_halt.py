import pytest

from serving.app.halt import Judge, Seen
from serving.app.settings import Halt

GOOD = Seen(is_error=False, latency_ms=20.0, cost_usd=0.001)
FAILED = GOOD._replace(is_error=True)


def new_judge(**halt: object) -> Judge:
    return Judge(Halt.model_validate({"answers": 100, "min_answers": 20} | halt))


def reasons(judge: Judge, champion: Seen, challenger: Seen, count: int = 60, version: str = "2") -> list[str]:
    found = []
    for _ in range(count):
        judge.record("1", champion, is_challenger=False)
        found.append(judge.record(version, challenger, is_challenger=True))
    return [reason for reason in found if reason]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (FAILED, "error rate 1.000 against 0.000"),
        (GOOD._replace(latency_ms=70.0), "latency p95 70 ms, at most 60"),
        (GOOD._replace(cost_usd=0.0031), "cost of 1,000 articles $3.1000, at most 3.0000"),
    ],
)
def test_a_challenger_that_is_worse_than_it_may_be_is_too_bad(bad: Seen, said: str) -> None:
    assert reasons(new_judge(), GOOD, bad)[0].startswith(said)


def test_a_challenger_as_bad_as_the_champion_is_not() -> None:
    bad = Seen(is_error=True, latency_ms=900.0, cost_usd=0.5)
    assert not reasons(new_judge(), bad, bad)


def test_nothing_is_judged_on_a_few_answers() -> None:
    judge = new_judge()
    assert not reasons(judge, GOOD, FAILED, count=19)
    assert reasons(judge, GOOD, FAILED, count=11)


def test_answers_of_another_version_do_not_count() -> None:
    judge = new_judge()
    assert not reasons(judge, GOOD, FAILED, count=19)
    assert not reasons(judge, GOOD, GOOD, count=30, version="3")


def test_a_free_champion_sets_no_limit_of_cost_but_the_settings_can() -> None:
    free = GOOD._replace(cost_usd=0.0)
    assert not reasons(new_judge(), free, GOOD)
    assert "cost" in reasons(new_judge(max_usd_per_1k=0.5), free, GOOD)[0]
