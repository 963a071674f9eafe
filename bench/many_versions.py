"""A registry with many versions, and what is asked of MLflow's stores; for bench/promotions.py."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from mlflow.entities import Param
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore
from mlflow.tracking import MlflowClient

from registry.history import Entry, Outcome, written
from registry.ledger import EPOCH, OUTCOME, RUN_TAG, Ledger
from registry.versions import REGISTERED_AS_TAG, Registry
from tests.registry.racers import MODEL

CHUNK = 100
"""Parameters that MLflow takes at once."""


def add_versions(count: int) -> None:
    """Versions that got no alias, and their entries in the history, written as a registration would write them."""
    client = MlflowClient()
    registry, history = Registry(MODEL, client), Ledger(MODEL, client).read()
    like, last, aliases = registry.snapshot().versions[-1], history.entries[-1], registry.aliases()
    assert like.run_id
    tags = {**like.tags, REGISTERED_AS_TAG: "none", "category_accuracy": "0.5"}
    source = client.get_model_version(MODEL, like.number).source
    params = []
    for _ in range(count):
        number = registry.create_version(source, like.run_id, {**tags, "candidate_hash": f"c{last.epoch}"})
        last = Entry(
            epoch=last.epoch + 1,
            previous=last.hash,
            action="register",
            version=number,
            at=datetime.now(UTC),
            by="bench",
            how="automatic",
            reason="gate failed",
            evidence=tags["evidence_hash"],
            before=aliases,
            after=aliases,
            trial=last.trial,
            nonce=number,
        )
        outcome = Outcome(entry=last.hash, done=True, reason="")
        params += [
            Param(f"{EPOCH}{last.epoch:06}", written(last)),
            Param(f"{OUTCOME}{last.epoch:06}", written(outcome)),
        ]
    [run_id] = [one.tags[RUN_TAG] for one in client.search_experiments() if RUN_TAG in one.tags]
    for start in range(0, len(params), CHUNK):
        client.log_batch(run_id, params=params[start : start + CHUNK])


@contextmanager
def store_calls() -> Iterator[Counter[str]]:
    """What is asked of MLflow's stores meanwhile, by name; not what they ask themselves."""
    made: Counter[str] = Counter()
    inside = False

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: object, **options: object) -> object:
            nonlocal inside
            if inside:
                return method(*args, **options)
            made[name] += 1
            inside = True
            try:
                return method(*args, **options)
            finally:
                inside = False

        return call

    kept = [(store, dict(vars(store))) for store in (TrackingStore, RegistryStore)]
    for store, methods in kept:
        for name, method in methods.items():
            if callable(method) and not name.startswith("_") and not isinstance(method, type):
                setattr(store, name, counted(name, method))
    try:
        yield made
    finally:
        for store, methods in kept:
            for name, method in methods.items():
                if not name.startswith("__"):
                    setattr(store, name, method)
