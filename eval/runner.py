"""Evaluates one target on a labelled set: asks, measures, and puts everything on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.budget import Budget, check_priced
from agent.config import AgentConfig
from agent.errors import DataError, ProviderError
from agent.fingerprint import config_hash
from agent.journal import Asked, Journal
from agent.providers import Pace
from agent.slots import Slots
from eval.evaluation import EvaluationRecord
from eval.labeled_set import LabeledSet
from eval.progress import Watch, nobody
from eval.spool import Spool
from eval.stopping import uninterrupted
from eval.store import local_store_checked
from eval.targets import Target

if TYPE_CHECKING:
    from eval.outcomes import Prediction

JOURNAL_FILE = Path("journal.db")


def evaluate(
    candidate: AgentConfig | str,
    dataset: LabeledSet,
    *,
    tags: Mapping[str, str] | None = None,
    concurrency: int | None = None,
    repeats: int = 1,
    budget: Budget | None = None,
    journal: Path | None = JOURNAL_FILE,
    fresh: bool = False,
    join: bool = True,
    watch: Watch = nobody,
) -> EvaluationRecord:
    """Classify every article of a labelled set; log predictions, figures, files and the model in one MLflow run.

    Answers that are paid for are kept in the journal before they count, so that an evaluation that is stopped, however
    it is, goes on where it was when it is started again. When MLflow cannot be reached the results are kept on disk.

    Args:
        candidate: Its configuration, or the URI of a logged version, which answers in a process of its own.
        dataset: A labelled set, n >= 1.
        tags: Tags of one's own for the run.
        concurrency: Calls in flight at most; the candidate's setting unless given.
        repeats: How often the set is asked about; figures of quality are those of the first time.
        budget: What the calls of this evaluation, and others that share it, may cost; the candidate's unless given.
        journal: File of the journal; None to keep and find no answers.
        fresh: Whether to forget the answers that the journal has to these questions.
        join: Whether the run of `mlflow run` is continued rather than given a child.
        watch: Told how far the answers are.

    Raises:
        ArtifactError: the trained model cannot be loaded; nothing is logged then.
        ConfigError: a key is missing, or there is a budget and no price; nothing is logged then.
        DataError: the set has labels that the candidate, such as an older version, does not know.
        StoreError: the local MLflow store cannot be opened.
        IsolationError: a logged version cannot be loaded, or its code is not what was logged.
        JournalError: the journal cannot be read or written.
        ProviderError: the key, endpoint or model is wrong, or nothing was answered; the run ends FAILED.
        EvaluationError: the model judges none of the tasks that the set has labels for; the run ends FAILED.
    """
    started_at = datetime.now(UTC)
    local_store_checked()
    with ExitStack() as ended:
        target = ended.enter_context(opened(candidate))
        from eval.asking import Asking  # and NumPy, while the process that asks is started

        check_labels(target.config, dataset)
        spool = ended.enter_context(Spool())
        pace = pace_of(target, ended, concurrency, journal, budget)
        if fresh and pace.journal:
            forget(pace.journal, target.config, dataset, repeats)
        asking = Asking(target, dataset, pace, repeats=repeats, spool=spool, watch=watch)
        ended.callback(asking.stop)
        if target.waits:
            asking.start()
        with uninterrupted():  # an import that is interrupted can go on without having been heard
            from eval.recording import Request, put_on_record  # three seconds, while the first answers are awaited

        return put_on_record(target, dataset, asking, spool, Request(tags or {}, join, started_at))


def predict(
    config: AgentConfig,
    dataset: LabeledSet,
    *,
    concurrency: int | None = None,
    journal: Path | None = JOURNAL_FILE,
    watch: Watch = nobody,
) -> Sequence[Prediction]:
    """Ask about every article and log nothing. Raises as `evaluate` does."""
    with ExitStack() as ended:
        target = ended.enter_context(opened(config))
        from eval.asking import Asking  # as above

        asking = Asking(target, dataset, pace_of(target, ended, concurrency, journal, None), watch=watch)
        [predictions] = asking.wait()
        if asking.unasked:
            raise ProviderError(f"The budget was spent with {asking.unasked:,} articles to go. Raise max_usd.")
        return predictions


def opened(candidate: AgentConfig | str) -> closing[Target]:
    """The target that is meant; closed on leaving."""
    return closing(Target.of_version(candidate) if isinstance(candidate, str) else Target.of(candidate))


def check_labels(config: AgentConfig, dataset: LabeledSet) -> None:
    """Raise DataError unless a candidate knows every gold label; a logged version brings labels of its own."""
    for task, names in config.labels.by_task.items():
        if unknown := sorted({row.gold[task] for row in dataset.rows if task in row.gold} - set(names)):
            raise DataError(
                f"{config.name} knows no {task} {unknown[0]!r} of {dataset.path}; allowed: {', '.join(names)}. "
                "Leave those rows out, or evaluate a candidate with the labels of today."
            )


def pace_of(
    target: Target, ended: ExitStack, concurrency: int | None, journal: Path | None, budget: Budget | None
) -> Pace:
    """How a target is asked: each article in a call of its own, so that latencies are those of real calls."""
    config = target.config
    if budget is None and config.max_usd is not None:
        budget = Budget(config.max_usd)
    if budget and target.waits:
        check_priced(config)
    slots = Slots(concurrency or config.max_concurrency)
    kept = ended.enter_context(Journal(journal)) if journal and target.waits else None
    return Pace(slots.most, patient=True, one_by_one=True, slots=slots, journal=kept, budget=budget)


def forget(journal: Journal, config: AgentConfig, dataset: LabeledSet, repeats: int) -> None:
    """Delete the answers of a candidate to the articles of a set."""
    what = (config.provider, config.model, config_hash(config))
    journal.forget(Asked(*what, row.article.hash, repeat) for row in dataset.rows for repeat in range(repeats))
