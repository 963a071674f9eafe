"""What the metrics of one task share, so that the articles are resampled once and not by each metric."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from eval.metrics.figure import Figure
from eval.metrics.scores import LabelScores, averages, label_scores
from eval.outcomes import Floats, Integers, TaskOutcome
from eval.statistics.bootstrap import resampled_confusions
from eval.statistics.intervals import cautious_size, percentile_interval, share_interval, widest, wilson

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """The outcome of one task, with scores of its articles and of their resamples."""

    outcome: TaskOutcome

    @cached_property
    def scores(self) -> LabelScores:
        """Of each label, shape (labels,)."""
        return label_scores(self.outcome.confusion)

    @cached_property
    def resampled_confusions(self) -> Integers:
        """Shape (resamples, labels, labels + 1)."""
        return resampled_confusions(self.outcome)

    @cached_property
    def resampled_scores(self) -> LabelScores:
        """Of each label in each resample, shape (resamples, labels)."""
        return label_scores(self.resampled_confusions)

    @cached_property
    def resampled_averages(self) -> dict[str, Floats]:
        """Macro and weighted averages of each resample, shape (resamples,)."""
        return averages(self.resampled_scores)

    @property
    def probabilities(self) -> Floats | None:
        """None also where gold has a single label, because then no figure of probabilities means anything."""
        return self.outcome.probabilities if len(np.unique(self.outcome.gold)) > 1 else None

    def labels_in_gold(self) -> Iterator[tuple[int, str]]:
        """Index and name of the labels that have figures of their own; none for both tasks together."""
        if self.outcome.name != "joint":
            yield from ((index, label) for index, label in enumerate(self.outcome.labels) if self.scores.support[index])

    def average(self, name: str) -> Figure:
        """A macro or weighted average with its interval."""
        value = float(averages(self.scores)[name])
        return self.like_a_share(value, self.size, self.resampled_averages[name])

    def like_a_share(self, value: float, size: float, resampled: Floats) -> Figure:
        """A figure from 0 to 1 that is no plain share, such as F1, with its bootstrap interval.

        Where few articles are wrong the bootstrap sees too little and is too narrow, and of none it is a point. So the
        interval is never narrower than Wilson's of an equal share of as many articles.

        Args:
            value: The figure.
            size: Independent articles that it is made of.
            resampled: The same figure of each resample, shape (resamples,).
        """
        return Figure(value, widest(wilson(value * size, size), percentile_interval(resampled)))

    @cached_property
    def size(self) -> float:
        """Independent articles."""
        right = (self.outcome.predicted == self.outcome.gold).astype(float)
        return cautious_size(right, self.outcome.stories)

    def share(self, hits: Flags, among: Flags, resampled: Floats) -> Figure:
        """A share of articles with Wilson's interval; 0 without one where there are none.

        Articles about one story are not independent, and Wilson's interval over all of them would be too narrow. Where
        there are stories it counts what the articles are worth, and is never narrower than the bootstrap of stories.

        Args:
            hits: Whether an article counts, shape (n,).
            among: The articles that it is a share of, shape (n,).
            resampled: The same share of each resample, shape (resamples,).
        """
        if not among.any():
            return Figure(0.0)
        stories = self.outcome.stories
        value = float(hits[among].mean())
        if stories is None:
            return Figure(value, share_interval(hits[among], None))
        return Figure(value, widest(share_interval(hits[among], stories[among]), percentile_interval(resampled)))
