"""What a labelled set can show: power of the two-sided exact McNemar test.

By enumeration: the number of discordant articles is binomial, and given it so are those that the candidate wins. Where
more than 50,000 are expected to be discordant, by the normal approximation, which is then within .002 of it.

Source: Duffy, Asymptotic and Exact Power for the McNemar Test and its Analogue with R Controls per Case, Biometrics
1984; the approximation: Connor, Sample Size for Testing Differences in Proportions for the Paired-Sample Design,
Biometrics 1987.
"""

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, norm

from agent.errors import EvaluationError
from eval.statistics.paired_tests import mcnemar

ALPHA = 0.05
POWER = 0.8
NEGLIGIBLE = 1e-13
"""Chance, on either side, of the numbers of discordant articles that are left out of an enumeration."""
ENUMERATED = 50_000
"""Expected discordant articles up to which power is enumerated."""
MOST_ARTICLES = 1 << 30
"""Where `articles_needed` gives up."""


@lru_cache(maxsize=10_000)
def power_of(articles: int, difference: float, discordance: float, alpha: float = ALPHA) -> float:
    """Chance that the better one is found to be better; at a difference of 0, that a given one of two equals is.

    Args:
        articles: At least 1.
        difference: True difference of accuracy, a fraction; its sign does not matter.
        discordance: True share of articles that only one of the two gets right, at least the difference.
        alpha: Two-sided level of the test.

    Raises:
        EvaluationError: The arguments are impossible.
    """
    difference = abs(difference)
    if articles < 1 or not difference <= discordance <= 1:
        raise EvaluationError(
            f"No power for articles={articles!r}, difference={difference!r}, discordance={discordance!r}. "
            "Give at least one article and difference <= discordance <= 1."
        )
    if articles * discordance < NEGLIGIBLE:
        return 0.0
    if articles * discordance > ENUMERATED:
        standard_errors = difference * articles**0.5 - norm.isf(alpha / 2) * discordance**0.5
        return float(norm.cdf(standard_errors / max(discordance - difference**2, 1 / articles) ** 0.5))
    fewest = int(binom.ppf(NEGLIGIBLE, articles, discordance))
    discordant = np.arange(fewest, int(binom.isf(NEGLIGIBLE, articles, discordance)) + 1)
    losses = np.maximum(binom.ppf(alpha / 2, discordant, 0.5), 0)
    losses -= mcnemar(losses, discordant - losses) > alpha
    wins = binom.sf(discordant - losses - 1, discordant, (discordance + difference) / (2 * discordance))
    return float((binom.pmf(discordant, articles, discordance) * wins).sum())


@lru_cache(maxsize=10_000)
def smallest_detectable(articles: int, discordance: float, alpha: float = ALPHA) -> float:
    """The difference of accuracy that is shown with 80 % power; 1 where a set is so small that it shows none.

    A difference above the discordance would raise it: then all discordant articles are taken to go one way.

    Args:
        articles: At least 1.
        discordance: Share of articles that only one of the two gets right, in [0, 1].
        alpha: Two-sided level of the test.
    """

    def missing(difference: float) -> float:
        return power_of(articles, difference, max(discordance, difference), alpha) - POWER

    return float(brentq(missing, 0.0, 1.0, xtol=1e-9)) if missing(1.0) > 0 else 1.0


def articles_needed(difference: float, discordance: float, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """How many articles show a difference; None where no number does, as for a difference of 0.

    Power rises with the articles but for ripples of a few, so this is the smallest number up to such a ripple.

    Args:
        difference: True difference of accuracy, a fraction; its sign does not matter.
        discordance: Share of articles that only one of the two gets right; raised to the difference if it is below.
        power: Chance of showing it.
        alpha: Two-sided level of the test.
    """
    difference = abs(difference)
    discordance = max(difference, discordance)
    enough = 1
    while difference == 0 or power_of(enough, difference, discordance, alpha) < power:
        enough *= 2
        if difference == 0 or enough > MOST_ARTICLES:
            return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if power_of(middle, difference, discordance, alpha) < power:
            too_few = middle
        else:
            enough = middle
    return enough
