from datetime import date, timedelta

import pytest

from eval.lifecycle import Lifecycle, Retirement
from registry.gates.end_of_life import EndOfLifeRule, end_of_life
from tests.registry.gates.cases import case

TODAY = date(2026, 11, 1)


def ends_in(days: int) -> Lifecycle:
    end = Retirement(
        provider="openai",
        model="news-7-2026",
        aliases=("news-7",),
        retires=TODAY + timedelta(days=days),
        successor="news-8",
        source="a page",
    )
    return Lifecycle(models=(end,))


@pytest.mark.parametrize(("days", "near"), [(91, False), (90, True), (0, True), (-9, True)])
def test_a_near_end_warns_and_refuses_only_where_told_to(days: int, near: bool) -> None:
    candidate = case(lifecycle=ends_in(days), today=TODAY)
    verdict = end_of_life(EndOfLifeRule(), candidate)
    assert (verdict.gate, verdict.passed, verdict.warning) == ("end_of_life", True, near)
    assert verdict.word == ("warn" if near else "pass")
    assert f"retires on {TODAY + timedelta(days=days)}." in verdict.reason
    assert "Use 'news-8' instead. Source: a page." in verdict.reason
    assert verdict.numbers == {"within_days": 90}
    refused = end_of_life(EndOfLifeRule(refuse=True), candidate)
    assert (refused.passed, refused.warning) == (not near, False)


def test_the_days_can_be_set() -> None:
    assert not end_of_life(EndOfLifeRule(within_days=5), case(lifecycle=ends_in(6), today=TODAY)).warning
    assert end_of_life(EndOfLifeRule(within_days=6), case(lifecycle=ends_in(6), today=TODAY)).warning


def test_no_announced_end_passes_and_no_list_of_them_does_not_mean_that() -> None:
    other = case(lifecycle=ends_in(-1), today=TODAY, model="news-8")
    assert end_of_life(EndOfLifeRule(refuse=True), other).word == "pass"
    unknown = case(lifecycle=None)
    assert end_of_life(EndOfLifeRule(), unknown).word == "warn"
    assert end_of_life(EndOfLifeRule(refuse=True), unknown).word == "FAIL"
