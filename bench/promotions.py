"""Whether the registry keeps what it promises: one winner, in time, with many versions, and back within seconds.

    python bench/promotions.py [--only races large rollback] [--store sqlite|postgres|both] [--rounds 2]

Everything is done in a folder that is deleted afterwards, with evaluations whose predictions are known.

races     100 racers, 10 threads in each of 10 processes, behind one barrier: who writes the first entry of the history,
          then, round after round, who promotes the challenger that all have reviewed, and who rolls back. Once on an
          SQLite file, once on `mlflow server` with PostgreSQL, both made here. A loser's time is from the barrier until
          it names the winner. At the end a promotion is stopped with SIGSTOP between its decision and its moves,
          finished by another process, rolled back, and woken.
large     A registration and a promotion (with its review) among 5 and among 500 versions, on SQLite. Store calls are
          those of MLflow's client to its two stores; a search counts once.
rollback  The command `news-classifier registry rollback` from its start to its exit; the champion before and after it
          are logged models that differ in their code.

All racers share the processors with the server and the database: on a machine that does other work the times say
little; the load average stands beside them. Exit code 1 where a limit is exceeded.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for parts of the tests, which are not installed

import mlflow
from figures import Figure, Part, measure_parts
from many_versions import add_versions, store_calls
from mlflow.tracking import MlflowClient
from surroundings import ROOT, copy_configuration, news_classifier, quiet_mlflow

from agent.champion import load_champion
from agent.config import AgentConfig
from agent.fingerprint import PACKAGE
from agent.labels import LabelSet
from agent.settings import read_settings
from eval import logged_model
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.logged_model import log_agent
from eval.store import open_store
from eval.tracking import experiment_id
from registry.ledger import Ledger
from registry.moves import finish
from registry.promotion import Consent, Promoter, Review
from registry.register import register
from registry.rollback import rollback
from registry.verify import verify
from registry.versions import Registry
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.racers import GATES, MODEL, Attempt, Racers, Wanted, racers, stopped_promotion, wake
from tests.registry.servers import mlflow_server, postgres, postgres_program
from training.config import TrainingConfig
from training.train import train

PROCESSES, THREADS = 10, 10
SERVER_WORKERS = 2
DRIVER = "psycopg[binary]>=3.2,<4"
DRIVER_FOLDER = ROOT / ".venv-psycopg"
"""Where the server, and nothing else, finds the driver."""
CHAMPION, CHALLENGERS = 0.92, (0.95, 0.96, 0.97, 0.98, 0.99)
"""Accuracies: each challenger is better than the champion, and no two perform alike."""
FEW, MANY = 5, 500

LIMIT_LOSER_S = 10
LIMIT_LARGE_S = 5
LIMIT_ROLLBACK_S = 10


def at(store_uri: str) -> None:
    """Use a store, in this process and in those that it starts."""
    os.environ |= {"MLFLOW_TRACKING_URI": store_uri, "MLFLOW_REGISTRY_URI": store_uri}
    open_store()


def registered(accuracy: float, **options: str) -> None:
    """Log and register a candidate."""
    register(log_evaluation(accuracy, **options), GATES, remeasure=unexpected)


def reviewed(accuracy: float) -> Review:
    """The review of a new challenger."""
    registered(accuracy)
    return Promoter(MlflowClient(), GATES, unexpected).review()


def measure_races(folder: Path, store: str, rounds: int) -> Iterator[Figure]:
    """Racers that want the same decision, round after round."""
    os.chdir(folder)
    with ExitStack() as servers:
        uri = f"sqlite:///{folder}/mlflow.db"
        if store == "postgres":
            (folder / "postgres").mkdir()
            folder.chmod(0o755)  # for the user that runs the database
            database = servers.enter_context(postgres(folder / "postgres"))
            driver = os.pathsep.join(filter(None, [str(DRIVER_FOLDER), os.environ.get("PYTHONPATH")]))
            uri = servers.enter_context(mlflow_server(folder, database, SERVER_WORKERS, PYTHONPATH=driver))
        at(uri)
        wrong: Counter[str] = Counter()
        with racers(PROCESSES, THREADS) as field:
            yield raced(field, Wanted("begin"), wrong)
            registered(CHAMPION)
            for accuracy in CHALLENGERS[:rounds]:
                yield raced(field, Wanted("promote", reviewed(accuracy).model_dump_json()), wrong)
                yield raced(field, Wanted("rollback", "1"), wrong)
        wrong["aliases astray after a stopped process woke"] = astray_after_sleep(reviewed(CHALLENGERS[rounds]))
        wrong["findings of verify at the end"] = len(verify(MlflowClient()))
        for what, count in wrong.items():
            yield Figure(what, count, 0)


def raced(field: Racers, wanted: Wanted, wrong: Counter[str]) -> Figure:
    """One race: how long the slowest loser took; what is not as it should be is counted."""
    attempts = field.race(wanted)
    head = Ledger(MODEL, MlflowClient()).read().head
    assert head
    ends = Counter(attempt.end for attempt in attempts)
    losers = [attempt for attempt in attempts if attempt.by != head.by]
    unnamed = [loser for loser in losers if loser.end == "lost" and head.by not in loser.said]
    wrong["races without exactly one winner, who is in the history"] += winners(attempts) != [head.by]
    wrong["losers that do not name the winner"] += len(unnamed)
    wrong["store errors"] += ends["failed"]
    for attempt in unnamed or [attempt for attempt in attempts if attempt.end == "failed"]:
        print(f"{attempt.by}: {attempt.said}", file=sys.stderr)
    median_s = sorted(loser.seconds for loser in losers)[len(losers) // 2]
    beside = f"{ends['won']} won, {ends['lost']} lost, {ends['failed']} store errors; median loser {median_s:.1f} s"
    slowest_s = max(loser.seconds for loser in losers)
    return Figure(f"epoch {head.epoch}, {wanted.act}: slowest loser", slowest_s, LIMIT_LOSER_S, "s", beside)


def winners(attempts: list[Attempt]) -> list[str]:
    """Who was told that it won."""
    return [attempt.by for attempt in attempts if attempt.end == "won"]


def astray_after_sleep(review: Review) -> int:
    """How many aliases are wrong after a process that slept over a later decision has woken and ended."""
    registry, ledger = Registry(MODEL, MlflowClient()), Ledger(MODEL, MlflowClient())
    with stopped_promotion(review, "sleeper") as sleeper:
        finish(registry, ledger)
        rollback(MlflowClient(), Consent("another", "terminal", "it is wrong"))
        wake(sleeper)
    wanted, found = ledger.read().aliases or {}, registry.aliases()
    return len(wanted.items() ^ found.items())


def measure_large(folder: Path) -> Iterator[Figure]:
    """The same registration and promotion among few and among many versions."""
    os.chdir(folder)
    at(f"sqlite:///{folder}/mlflow.db")
    registered(CHAMPION)
    promoter = Promoter(MlflowClient(), GATES, unexpected)
    promoter.promote(reviewed(0.94), Consent("bench", "hash", "better"))  # all aliases have been used
    calls: dict[str, list[int]] = {"register": [], "promote": []}
    for versions, accuracy in ((FEW, 0.96), (MANY, 0.98)):
        add_versions(versions - 1 - len(Registry(MODEL, MlflowClient()).snapshot().versions))
        evaluation = log_evaluation(accuracy)
        steps: dict[str, Callable[[], object]] = {
            "register": lambda evaluation=evaluation: register(evaluation, GATES, remeasure=unexpected),
            "promote": lambda: promoter.promote(promoter.review(), Consent("bench", "hash", "better")),
        }
        for name, step in steps.items():
            started = time.monotonic()
            with store_calls() as made:
                step()
            taken_s = time.monotonic() - started
            calls[name].append(made.total())
            beside = ", ".join(f"{count} {call}" for call, count in made.most_common(4))
            yield Figure(f"{name} among {versions} versions", taken_s, LIMIT_LARGE_S, "s", f"most calls: {beside}")
    for name, (few, many) in calls.items():
        yield Figure(f"{name}: store calls among {MANY}", many, few, "", f"{few} among {FEW}")


def measure_rollback(folder: Path) -> Iterator[Figure]:
    """The real command, between two versions that differ in their code."""
    os.chdir(folder)
    copy_configuration(folder)
    at(f"sqlite:///{folder}/mlflow.db")
    config = small_candidate(folder)
    earlier = Path(shutil.copytree(PACKAGE, folder / "earlier" / "agent"))
    provider = earlier / "providers" / "sklearn.py"
    text = provider.read_text(encoding="utf-8")
    assert 'stage="classify"' in text
    provider.write_text(text.replace('stage="classify"', 'stage="earlier"'), encoding="utf-8")
    registered(CHAMPION, model_uri=logged(config, earlier))
    registered(CHALLENGERS[0], model_uri=logged(config, PACKAGE))
    promoter = Promoter(MlflowClient(), GATES, unexpected)
    promoter.promote(promoter.review(), Consent("bench", "hash", "better"))
    before = stage_of_champion()
    command = news_classifier("registry", "rollback", "--yes", "--reason", "bad")
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken_s = time.monotonic() - started
    wrong = int(before != "classify") + int(stage_of_champion() != "earlier")
    yield Figure("rollback, the whole command", taken_s, LIMIT_ROLLBACK_S, "s", (done.stdout or done.stderr).strip())
    yield Figure("champions that answer with other code than their own", wrong, 0, "", "of 2, before and after")
    yield Figure("findings of verify at the end", len(verify(MlflowClient())), 0)


def small_candidate(folder: Path) -> AgentConfig:
    """A local model trained on a few articles."""
    labels = read_settings(ROOT / "config" / "labels.yaml", LabelSet)
    articles: LabeledSet = load_labeled_set(ROOT / "data" / "labeled_news.jsonl", labels)
    train([articles], folder / "model", read_settings(ROOT / "config" / "training.yaml", TrainingConfig), labels)
    own = {"name": "bench", "provider": "sklearn", "model": "news-sklearn", "track": "local"}
    return AgentConfig.model_validate({**own, "labels": labels, "artifact": folder / "model"})


def logged(config: AgentConfig, package: Path) -> str:
    """The address of a candidate that is logged with the code of a folder."""
    logged_model.PACKAGE = package
    with mlflow.start_run(experiment_id=experiment_id("news-classifier-local")):
        return str(log_agent(config).model_uri)


def stage_of_champion() -> str:
    """What the code of the champion calls the only stage of an answer."""
    with load_champion() as champion:
        return champion.classify(title="Club wins").calls[0].stage


def driver_installed() -> None:
    """Install the driver of PostgreSQL in a folder of its own, once; exit where there is no PostgreSQL."""
    if not (postgres_program("initdb") and postgres_program("postgres")):
        sys.exit(
            "PostgreSQL is not installed: there is no initdb in PATH or /usr/lib/postgresql. Install it (Debian: apt "
            "install postgresql; macOS: brew install postgresql), or give --store sqlite."
        )
    if not (DRIVER_FOLDER / "psycopg").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(DRIVER_FOLDER), DRIVER], check=True)


def main() -> None:
    """Measure, print, and exit with 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=["races", "large", "rollback"], help="Parts; else all.")
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both", help="Of the races.")
    parser.add_argument("--rounds", type=int, default=2, choices=range(1, len(CHALLENGERS)), help="Of the races.")
    options = parser.parse_args()
    chosen = options.only or ["races", "large", "rollback"]
    stores = ["sqlite", "postgres"] if options.store == "both" else [options.store]
    if "races" in chosen and "postgres" in stores:
        driver_installed()
    parts: dict[str, list[Part]] = {
        "races": [
            (f"{PROCESSES * THREADS} racers, {store}", partial(measure_races, store=store, rounds=options.rounds))
            for store in stores
        ],
        "large": [(f"{MANY} versions", measure_large)],
        "rollback": [("Rollback", measure_rollback)],
    }
    quiet_mlflow()
    measure_parts(part for name in chosen for part in parts[name])


if __name__ == "__main__":
    main()
