from math import comb, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from agent.errors import EvaluationError
from eval.statistics import power as module
from eval.statistics.power import ALPHA, articles_needed, power_of, smallest_detectable


def brute_force(articles: int, difference: float, discordance: float) -> float:
    """The chance of every table of which the exact test says that the candidate is better."""
    gain, loss = (discordance + difference) / 2, (discordance - difference) / 2
    total = 0.0
    for gains in range(articles + 1):
        for losses in range(min(gains, articles - gains + 1)):
            if binomtest(gains, gains + losses).pvalue <= ALPHA:
                ways = comb(articles, gains) * comb(articles - gains, losses)
                total += ways * gain**gains * loss**losses * (1 - discordance) ** (articles - gains - losses)
    return total


@pytest.mark.parametrize("articles", [5, 6, 20, 45])
@pytest.mark.parametrize(("difference", "discordance"), [(0, 0.3), (0.1, 0.1), (0.1, 0.25), (0.3, 0.5), (1, 1)])
def test_power_is_the_sum_over_all_tables(articles: int, difference: float, discordance: float) -> None:
    assert power_of(articles, difference, discordance) == pytest.approx(
        brute_force(articles, difference, discordance), abs=1e-9
    )
    assert power_of(articles, -difference, discordance) == power_of(articles, difference, discordance)


def test_more_discordance_than_is_enumerated_is_approximated_within_what_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = [power_of.__wrapped__(500_000, shift * sqrt(0.1 / 500_000), 0.1) for shift in (1, 2, 3)]
    monkeypatch.setattr(module, "ENUMERATED", 0)
    normal = [power_of.__wrapped__(500_000, shift * sqrt(0.1 / 500_000), 0.1) for shift in (1, 2, 3)]
    assert normal == pytest.approx([norm.cdf(shift - norm.isf(ALPHA / 2)) for shift in (1, 2, 3)], abs=1e-4)
    assert exact == pytest.approx(normal, abs=0.002)
    assert exact != normal


@settings(max_examples=30)
@given(st.integers(8, 3000), st.floats(0, 0.6))
def test_the_smallest_detectable_difference_has_exactly_the_power(articles: int, discordance: float) -> None:
    found = smallest_detectable(articles, discordance)
    assert power_of(articles, found, max(discordance, found)) == pytest.approx(0.8, abs=1e-5)
    assert smallest_detectable(articles, discordance, ALPHA / 12) > found


def test_a_set_too_small_for_any_difference_says_so() -> None:
    """Five articles that all go one way have p = 2 / 2 ** 5 = .0625."""
    assert smallest_detectable(5, 0.2) == 1
    assert smallest_detectable(6, 0.2) < 1


@settings(max_examples=30)
@given(st.floats(0.005, 0.5), st.floats(0, 0.6))
def test_the_articles_needed_are_enough_and_one_less_is_not(difference: float, discordance: float) -> None:
    needed = articles_needed(difference, discordance)
    assert needed
    both = max(difference, discordance)
    assert power_of(needed, difference, both) >= 0.8 > power_of(needed - 1, difference, both)
    assert articles_needed(-difference, discordance) == needed


def test_articles_needed_of_a_published_example() -> None:
    """Connor, Biometrics 1987: n = (z_a sqrt(d) + z_b sqrt(d - D^2))^2 / D^2; the exact test needs a few more."""
    difference, discordance = 0.05, 0.15
    connor = (norm.isf(0.025) * sqrt(discordance) + norm.isf(0.2) * sqrt(discordance - difference**2)) ** 2
    needed = articles_needed(difference, discordance)
    assert needed
    assert connor / difference**2 < needed < connor / difference**2 + 2 / difference


def test_no_number_of_articles_shows_no_difference() -> None:
    assert articles_needed(0, 0.1) is None


@pytest.mark.parametrize(("articles", "difference", "discordance"), [(0, 0.1, 0.2), (10, 0.3, 0.2), (10, 0.3, 1.2)])
def test_impossible_questions_are_refused(articles: int, difference: float, discordance: float) -> None:
    with pytest.raises(EvaluationError, match="difference <= discordance <= 1"):
        power_of(articles, difference, discordance)
