from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.records import Article
from serving.app.halt import Seen
from serving.app.settings import Halt, Traffic
from serving.app.traffic import TRAFFIC_FILE, Shares, TrafficControl

ARTICLES = [Article(title=f"Club {number} wins") for number in range(2000)]
GOOD = Seen(is_error=False, latency_ms=20.0, cost_usd=0.001)


def control(folder: Path) -> TrafficControl:
    return TrafficControl(Traffic(challenger_percent=20), Halt(answers=100, min_answers=20), folder)


@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_a_share_is_that_share_of_the_articles(tmp_path: Path, percent: int) -> None:
    traffic = control(tmp_path)
    traffic.change(Shares(challenger_percent=percent, shadow_percent=percent))
    taken = [article for article in ARTICLES if traffic.is_challengers(article)]
    assert len(taken) / len(ARTICLES) == pytest.approx(percent / 100, abs=0.035)
    shadowed = [article for article in ARTICLES if traffic.is_shadowed(article)]
    both = len([article for article in taken if traffic.is_shadowed(article)])
    assert both / len(ARTICLES) == pytest.approx(len(taken) * len(shadowed) / len(ARTICLES) ** 2, abs=0.035)


@given(low=st.integers(0, 100), high=st.integers(0, 100), number=st.integers(0, 1999))
def test_who_has_the_challenger_keeps_it_when_its_share_grows(
    tmp_path_factory: pytest.TempPathFactory, low: int, high: int, number: int
) -> None:
    traffic = control(tmp_path_factory.getbasetemp())
    traffic.shares = Shares(challenger_percent=min(low, high))
    before = traffic.is_challengers(ARTICLES[number])
    traffic.shares = Shares(challenger_percent=max(low, high))
    assert traffic.is_challengers(ARTICLES[number]) >= before


def test_a_bad_challenger_loses_its_share_for_good(tmp_path: Path) -> None:
    traffic = control(tmp_path)
    for _ in range(60):
        traffic.record("1", GOOD, is_challenger=False)
        traffic.record("2", GOOD._replace(is_error=True), is_challenger=True)
    assert traffic.shares.challenger_percent == 0
    assert str(traffic.shares.halted).startswith("version 2: error rate 1.000 against 0.000")
    assert control(tmp_path).shares == traffic.shares  # after a restart too


def test_a_challenger_is_judged_anew_after_its_share_was_changed(tmp_path: Path) -> None:
    traffic = control(tmp_path)
    for _ in range(19):
        traffic.record("2", GOOD._replace(is_error=True), is_challenger=True)
    traffic.change(Shares(challenger_percent=50))
    for _ in range(19):
        traffic.record("2", GOOD, is_challenger=True)
    assert traffic.shares == Shares(challenger_percent=50)


def test_shares_are_changed_although_the_disk_takes_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    traffic = control(tmp_path / "gone")
    traffic.change(Shares(challenger_percent=0))
    assert traffic.shares.challenger_percent == 0
    assert "hold until a restart" in caplog.text


def test_shares_that_cannot_be_read_are_an_error_and_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / TRAFFIC_FILE).write_text("{broken")
    with pytest.raises(ConfigError, match="traffic.json cannot be read"):
        control(tmp_path)
