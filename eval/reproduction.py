"""Runs an evaluation again, as it was: the logged model with its own code, on the same articles."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.errors import DataError
from agent.labels import LabelSet
from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.progress import Watch, nobody
from eval.runner import evaluate
from eval.runs import load_evaluation, load_predictions
from eval.statistics.comparison import Comparison, compare
from eval.statistics.pairs import paired_outcomes
from eval.tracking import git_commit


class Reproduction(BaseModel):
    """An evaluation beside its repetition."""

    model_config = ConfigDict(frozen=True)

    original: EvaluationRecord
    again: EvaluationRecord
    commit_now: str | None
    """The commit that stands here; another one than the original's only matters to how figures are computed."""
    rows: int
    """Articles that both answered."""
    same_labels: dict[str, int]
    """Articles that got the same label both times, by task."""
    comparisons: tuple[Comparison, ...]
    """The repetition against the original, by task."""

    @property
    def is_identical(self) -> bool:
        """Whether every article got the same labels."""
        return all(same == self.rows for same in self.same_labels.values())

    @property
    def differs(self) -> bool:
        """Whether the difference is more than chance."""
        return any(comparison.verdict in ("better", "worse") for comparison in self.comparisons)


def reproduce(run_id: str, labels: LabelSet, *, data_file: Path | None = None, watch: Watch = nobody) -> Reproduction:
    """Check that articles and prompt are the same, ask everything again without the journal, and compare.

    Args:
        run_id: Of a logged evaluation.
        labels: The labels that are allowed.
        data_file: Where the labelled set is now; where it was then unless given.
        watch: Told how far it is.

    Raises:
        DataError: there is no such evaluation, or articles, labels or prompt are not what they were.
    """
    original = load_evaluation(run_id)
    dataset = same_dataset(original, labels, data_file)
    again = evaluate(original.model_uri, dataset, repeats=original.repeats, journal=None, watch=watch)
    if again.candidate.hash != original.candidate.hash or again.candidate.prompt_hash != original.candidate.prompt_hash:
        raise DataError(f"The model {original.model_uri} is not the one that run {run_id!r} evaluated.")
    assert again.run_id
    pairs = paired_outcomes(load_predictions(run_id), load_predictions(again.run_id))
    return Reproduction(
        original=original,
        again=again,
        commit_now=git_commit(),
        rows=len(pairs[0].baseline.gold) if pairs else 0,
        same_labels={
            pair.baseline.name: int((pair.baseline.predicted == pair.candidate.predicted).sum()) for pair in pairs
        },
        comparisons=tuple(compare(pair.baseline, pair.candidate) for pair in pairs),
    )


def same_dataset(original: EvaluationRecord, labels: LabelSet, data_file: Path | None) -> LabeledSet:
    """The labelled set of an evaluation. Raises DataError when it is not there or not the same any more."""
    dataset = load_labeled_set(data_file or Path(original.dataset.path), labels)
    if dataset.digest != original.dataset.digest:
        raise DataError(
            f"{dataset.path} has the digest {dataset.digest[:12]}, and {original.dataset.digest[:12]} was evaluated. "
            f"Give the file as it was with --data (commit {original.git_commit})."
        )
    return dataset
