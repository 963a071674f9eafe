"""Where the history is kept: parameters of one MLflow run, because they can be written once and never again.

Whoever writes the parameter of the next epoch first has won it, on every store and without a lock. The run stands alone
in an experiment of its own, which is built beside its place and moved there by renaming it, so that two processes
that begin at once end up with one. What this guarantees and what it cannot is docs/decisions/008.
"""

import os
import uuid
from collections.abc import Mapping

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import ValidationError

from agent.errors import RegistryError
from registry.history import Entry, History, Outcome, chain_problems, written
from registry.refusals import explained

EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME_REGISTRY"
RUN_TAG = "history_run"
EPOCH, OUTCOME = "epoch.", "outcome."
VALUE_CHARS = 6000
"""Longest value of a parameter."""


class Overtaken(RegistryError):
    """Somebody else's decision came first; the registry itself is well."""

    exit_code = 1

    def __init__(self, winner: Entry) -> None:
        super().__init__(f"Somebody else was first: {winner}. Nothing was changed by this command; look again.")
        self.winner = winner


class Ledger:
    """The history of one registered model.

    Args:
        model: Name of the registered model.
        client: MLflow's client, already pointed at the stores.
    """

    def __init__(self, model: str, client: MlflowClient) -> None:
        self._experiment = os.environ.get(EXPERIMENT_VARIABLE) or f"{model}-registry"
        self._model = model
        self._client = client
        self._run_id: str | None = None

    def read(self) -> History:
        """The whole history, in one call once its run is known.

        Raises:
            RegistryError: it cannot be read; that is never an empty history.
        """
        with explained(f"read the history of {self._model!r}"):
            run_id = self._run_id or self._find_run()
            if run_id is None:
                return History()
            run = self._client.get_run(run_id)
            if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
                raise RegistryError(
                    f"The history of {self._model!r} is deleted. Restore it: mlflow runs restore --run-id {run_id}."
                )
            self._run_id = run_id
            return history_of(run.data.params)

    def append(self, entry: Entry) -> None:
        """Write the next entry.

        Raises:
            Overtaken: the epoch was won by somebody else.
            RegistryError: it could not be written, or nobody knows whether it was.
        """
        text = written(entry)
        if len(text) > VALUE_CHARS:  # MLflow would cut it off, and the history could never be read again
            raise RegistryError(
                f"This decision would take {len(text):,} characters, {VALUE_CHARS:,} are allowed. Give a shorter name "
                "or reason. Nothing was changed."
            )
        try:
            self._write(f"{EPOCH}{entry.epoch:06}", text)
            won = next((one for one in self.read().entries if one.epoch == entry.epoch), None)
        except RegistryError as err:
            raise RegistryError(
                f"{err} Whether it was decided is not certain; see: news-classifier registry history."
            ) from err
        if won is None or won.nonce != entry.nonce:
            raise Overtaken(won) if won else RegistryError(f"Epoch {entry.epoch} was written and cannot be read back.")

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Write what became of an entry; whoever says it first is right. Raises RegistryError."""
        self._write(f"{OUTCOME}{entry.epoch:06}", written(outcome))

    def _write(self, key: str, text: str) -> None:
        """Write a parameter, unless it is there already: what stands there counts, whoever wrote it."""
        with explained(f"write {key!r} into the history of {self._model!r}"):
            run_id = self._run_id or self._find_run() or self._create_run()
            self._run_id = run_id
            try:
                self._client.log_param(run_id, key, text)
            except Exception:
                if key not in self._client.get_run(run_id).data.params:
                    raise

    def _find_run(self) -> str | None:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            return None
        if found.lifecycle_stage != LifecycleStage.ACTIVE:
            raise RegistryError(
                f"The experiment {self._experiment!r}, which holds the history of {self._model!r}, is deleted. Restore "
                f"it: mlflow experiments restore -x {found.experiment_id}."
            )
        if RUN_TAG not in found.tags:
            raise RegistryError(
                f"The experiment {self._experiment!r} is not a history: it has no tag {RUN_TAG!r}. Give the history "
                f"another name in {EXPERIMENT_VARIABLE}."
            )
        return found.tags[RUN_TAG]

    def _create_run(self) -> str:
        beside = f"{self._experiment}-{uuid.uuid4().hex}"
        experiment_id = self._client.create_experiment(beside)
        run = self._client.create_run(experiment_id, run_name=f"history of {self._model}")
        self._client.set_experiment_tag(experiment_id, RUN_TAG, run.info.run_id)
        try:
            self._client.rename_experiment(experiment_id, self._experiment)
        except MlflowException:  # somebody else was first, or it really cannot be made, or it was and nobody said so
            found = self._find_run()
            if found != run.info.run_id:
                self._client.delete_experiment(experiment_id)
            if found is None:
                raise
            return found
        self._client.set_terminated(run.info.run_id)
        return str(run.info.run_id)


def history_of(params: Mapping[str, str]) -> History:
    """The history that a run's parameters hold."""
    entries: list[Entry] = []
    outcomes: dict[int, Outcome] = {}
    problems: list[str] = []
    for key, value in sorted(params.items()):
        try:
            if key.startswith(EPOCH):
                entries.append(Entry.model_validate_json(value))
            elif key.startswith(OUTCOME):
                outcomes[int(key.removeprefix(OUTCOME))] = Outcome.model_validate_json(value)
        except (ValidationError, ValueError):
            problems.append(f"{key!r} cannot be read: it was edited, or written by a newer version of this product")
    return History(entries, outcomes, [*problems, *chain_problems(entries, outcomes)])
