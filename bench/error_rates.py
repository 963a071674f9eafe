"""How often verdicts are wrong, how often they find what is there, and whether intervals hold the truth.

    python bench/error_rates.py [--simulations 2000]

Articles are made up from a known truth: both models are right, one of them alone, or none, with fixed chances. So it
is known which verdicts are wrong. `better` at equal models may be at most 2.5 % (half of the two-sided 5 %), which is
3.7 % with the Monte Carlo error of 2,000 simulations; a false tie at most 5 %, so 6.7 %. "Higher accuracy wins" is
wrong where the candidate, which is no better, got more articles right. Equal models and ties are compared by the whole
of `eval.statistics.comparison.compare`; elsewhere its test, Holm and `verdict_of` are called on counts. That they
agree with it is checked as well. Exit code 1 where a bound is broken.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from figures import print_table

from eval.metrics import accuracy as accuracy_metric
from eval.metrics import recall as recall_metric
from eval.metrics.figure import Figure
from eval.metrics.judged import Judged
from eval.outcomes import TaskOutcome
from eval.statistics.comparison import Difference, Verdict, compare, verdict_of
from eval.statistics.paired_tests import holm, mcnemar, sign_flip
from eval.statistics.power import power_of

LABELS = tuple("abcdefgh")
ACCURACY = 0.9
DISCORDANCE = 0.1
FALSE_BETTER = 0.025
FALSE_TIE = 0.05
COVERED = 0.95
STANDARD_ERRORS = 3.44
"""Above a share that must not be exceeded; of 2.5 % in 2,000 simulations they make 3.7 %."""
CANDIDATES = 12
SEED = 20

Integers = npt.NDArray[np.int64]


def highest(share: float, simulations: int) -> float:
    """A share that is not to be exceeded, and Monte Carlo error."""
    return share + STANDARD_ERRORS * math.sqrt(share * (1 - share) / simulations)


class Row(NamedTuple):
    """A measured share, where it must lie, what enumeration says, and what stands beside it."""

    what: str
    share: float
    low: float
    high: float
    exact: float | None = None
    beside: str = ""

    @property
    def kept(self) -> bool:
        """Whether the bound is kept."""
        return self.low <= self.share <= self.high


def made_up(rng: np.random.Generator, articles: int, difference: float, discordance: float) -> list[TaskOutcome]:
    """Baseline and candidate with a true difference of accuracy; wrong answers are any other label or Unknown."""
    alone = (discordance + np.array([-difference, difference])) / 2
    cells = rng.choice(4, articles, p=[ACCURACY - alone[0], *alone, 1 - ACCURACY - alone[1]])
    gold = rng.integers(0, len(LABELS), articles)
    outcomes = []
    for right in (cells <= 1, (cells == 0) | (cells == 2)):
        wrong = (gold + rng.integers(1, len(LABELS) + 1, articles)) % (len(LABELS) + 1)
        outcomes.append(TaskOutcome("category", LABELS, gold, np.where(right, gold, wrong), None))
    return outcomes


def verdict_of_counts(losses: int, gains: int, p_value: float) -> Verdict:
    """The product's verdict where no interval was computed: as if it were so wide that nothing is a tie."""
    difference = float(np.sign(gains - losses))
    wide = Difference(baseline=0, candidate=0, difference=difference, low=-1, high=1, low_90=-1, high_90=1)
    return verdict_of(wide, p_value)


def equal_models(articles: int, simulations: int) -> Iterator[Row]:
    """A/A: two equal models, by the whole of `compare`."""
    rng = np.random.default_rng(SEED)
    better = higher = disagreements = 0
    for _ in range(simulations):
        found = compare(*made_up(rng, articles, 0, DISCORDANCE))
        losses, gains = found.only_baseline_right, found.only_candidate_right
        by_counts = verdict_of_counts(losses, gains, float(mcnemar(losses, gains)))
        better += found.verdict == "better"
        higher += gains > losses
        disagreements += (found.verdict == "better") != (by_counts == "better")
    yield Row(
        f"equal models, n = {articles:,}: better",
        better / simulations,
        0,
        highest(FALSE_BETTER, simulations),
        power_of(articles, 0, DISCORDANCE),
        f"higher accuracy wins: {higher / simulations:.1%}",
    )
    if disagreements:
        yield Row(f"equal models, n = {articles:,}: counts disagree", disagreements / simulations, 0, 0)


def power(articles: int, difference: float, discordance: float, simulations: int) -> Row:
    """A true difference: how often it is found, beside the exact enumeration."""
    rng = np.random.default_rng(SEED)
    shares = [(discordance - difference) / 2, (discordance + difference) / 2, 1 - discordance]
    losses, gains, _ = rng.multinomial(articles, shares, size=simulations).T
    verdicts = map(verdict_of_counts, losses, gains, mcnemar(losses, gains))
    found = sum(verdict == "better" for verdict in verdicts) / simulations
    exact = power_of(articles, difference, discordance)
    error = 3 * math.sqrt(exact * (1 - exact) / simulations)
    what = f"{100 * difference:.0f} points, discordance {discordance}, n = {articles:,}: better"
    return Row(what, found, exact - error, exact + error, exact)


def family(articles: int, simulations: int) -> Row:
    """Equal candidates against one champion: how often any of them is called better."""
    rng = np.random.default_rng(SEED)
    alone = DISCORDANCE / 2
    any_better = any_unadjusted = 0
    lead = 0.0
    for _ in range(simulations):
        champion = rng.random(articles) < ACCURACY
        chance = np.where(champion, 1 - alone / ACCURACY, alone / (1 - ACCURACY))
        candidates = rng.random((CANDIDATES, articles)) < chance
        losses, gains = (champion & ~candidates).sum(axis=1), (candidates & ~champion).sum(axis=1)
        p_values = mcnemar(losses, gains)
        any_better += "better" in map(verdict_of_counts, losses, gains, holm(list(p_values)))
        any_unadjusted += "better" in map(verdict_of_counts, losses, gains, p_values)
        lead += float((gains - losses).max()) / articles / simulations
    return Row(
        f"{CANDIDATES} equal candidates, n = {articles:,}: any better",
        any_better / simulations,
        0,
        highest(FALSE_BETTER, simulations),
        beside=f"without Holm: {any_unadjusted / simulations:.1%}; best leads by {100 * lead:.1f}",
    )


def equal_models_in_stories(stories: int, size: int, simulations: int) -> Row:
    """A/A where all articles of a story are answered alike."""
    rng = np.random.default_rng(SEED)
    better = ignored = 0
    for _ in range(simulations):
        sums = size * rng.choice([-1, 0, 1], stories, p=[DISCORDANCE / 2, 1 - DISCORDANCE, DISCORDANCE / 2])
        losses, gains = int(-sums[sums < 0].sum()), int(sums[sums > 0].sum())
        better += verdict_of_counts(losses, gains, sign_flip(sums)) == "better"
        ignored += verdict_of_counts(losses, gains, float(mcnemar(losses, gains))) == "better"
    return Row(
        f"equal models, {stories} stories of {size}: better",
        better / simulations,
        0,
        highest(FALSE_BETTER, simulations),
        beside=f"McNemar blind to stories: {ignored / simulations:.1%}",
    )


def false_ties(articles: int, discordance: float, simulations: int) -> Row:
    """A true difference of 2 points is no tie: how often it is called one, by the whole of `compare`."""
    rng = np.random.default_rng(SEED)
    found = [compare(*made_up(rng, articles, 0.02, discordance)) for _ in range(simulations)]
    ties = sum(comparison.verdict == "tie" for comparison in found) / simulations
    return Row(f"2 points, discordance {discordance}, n = {articles:,}: tie", ties, 0, highest(FALSE_TIE, simulations))


def coverage(articles: int, accuracy: float, simulations: int, stories: int | None = None) -> Iterator[Row]:
    """How often 95 % intervals hold the truth: of accuracy, and of macro recall, whose truth is the same here."""
    rng = np.random.default_rng(SEED)
    held = {"accuracy": 0, "macro_recall": 0}
    of_story = None if stories is None else np.arange(articles) % stories
    for _ in range(simulations):
        gold = rng.integers(len(LABELS), size=articles)
        chance = accuracy if of_story is None else rng.beta(2.1 * accuracy, 2.1 * (1 - accuracy), stories)[of_story]
        right = rng.random(articles) < chance
        predicted = np.where(right, gold, (gold + rng.integers(1, len(LABELS), size=articles)) % len(LABELS))
        found = all_task_figures(TaskOutcome("category", LABELS, gold, predicted, None, of_story))
        for name in held:
            interval = found[name].interval
            held[name] += interval is not None and interval.low <= accuracy <= interval.high
    where = f"n = {articles}" if stories is None else f"{stories} stories of {articles // stories}"
    for name, count in held.items():
        lowest = 1 - highest(1 - COVERED, simulations)
        yield Row(f"{where}, accuracy {accuracy}: {name} in its interval", count / simulations, lowest, 1.0)


def all_task_figures(outcome: TaskOutcome) -> dict[str, Figure]:
    """The figures of one task without its name."""
    judged = Judged(outcome)
    return {**accuracy_metric.measure(judged), **recall_metric.measure(judged)}


def measure(simulations: int) -> Iterator[Row]:
    """Every row of the table."""
    for articles in (50, 200, 1000):
        yield from equal_models(articles, simulations)
    for articles in (200, 1000):
        for difference in (0.02, 0.05, 0.1):
            for discordance in (0.1, 0.2):
                yield power(articles, difference, discordance, simulations)
    yield family(400, simulations)
    yield equal_models_in_stories(50, 4, simulations)
    for articles, discordance in ((200, 0.02), (1000, 0.05)):
        yield false_ties(articles, discordance, simulations)
    for articles, accuracy in ((40, 0.95), (200, 0.99), (416, 0.95)):
        yield from coverage(articles, accuracy, simulations // 4)
    yield from coverage(200, 0.9, simulations // 4, stories=10)


def main() -> None:
    """Measure, print, and exit with 1 where a bound is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    started = time.monotonic()
    rows = list(measure(simulations))
    cells = []
    for row in rows:
        must_be = f"{max(row.low, 0):.1%} to {min(row.high, 1):.1%}"
        exact = "" if row.exact is None else f"{row.exact:.2%}"
        cells.append((row.what, f"{row.share:.2%}", must_be, exact, row.beside, "kept" if row.kept else "BROKEN"))
    columns = ("truth: verdict", "share", "must be", "exactly", "beside it", "")
    print_table(f"Verdicts in {simulations:,} simulations a row", columns, cells, left=columns)
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if all(row.kept for row in rows) else 1)


if __name__ == "__main__":
    main()
