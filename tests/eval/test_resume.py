"""Evaluations that are killed, stopped or out of money: nothing is paid twice, and the same command goes on."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from eval.candidates import load_candidate
from tests.conftest import hears_interrupts, write_jsonl
from tests.eval.conftest import WRONG_KEY
from tests.llm_server import Behaviour, LLMServer

CATEGORIES = ("Politics", "Technology", "Business", "Sports")
ARTICLES = 160
CONCURRENCY = 8
QUALITY = ("category_", "sentiment_", "joint_")
COMMAND = (sys.executable, "-m", "serving.cli")
RUN = ("eval", "run", "--provider", "openai", "--data", "articles.jsonl", "--concurrency", str(CONCURRENCY), "--json")


@pytest.fixture
def project(store: MlflowClient, workspace: Path, llm: LLMServer) -> Path:
    """Articles whose labels the service knows, but for every seventh."""
    rows: list[dict[str, object]] = [
        {
            "id": str(number),
            "title": f"Title {number}.",
            "content": "Held on Monday.",
            "category": CATEGORIES[number % 4],
            "sentiment": "Neutral",
        }
        for number in range(ARTICLES)
    ]
    write_jsonl(workspace / "articles.jsonl", rows)
    llm.answers = answer
    llm.behaviour = Behaviour(latency_s=0.15)
    return workspace


def answer(prompt: str) -> tuple[str, str]:
    number = int(prompt.rpartition("Title ")[2].partition(".")[0])
    return CATEGORIES[(number + (number % 7 == 0)) % 4], "Neutral"


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)


def start(*words: object) -> "subprocess.Popen[str]":
    """A command in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_interrupts,
        start_new_session=True,
    )


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def at_work_in(folder: Path) -> list[int]:
    """Processes other than this one whose working directory it is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and int(process.name) != os.getpid():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def answered(llm: LLMServer, start: int = 0) -> Counter[str]:
    """How often each article was answered."""
    return Counter(title_of(received.raw) for received in llm.requests[start:] if received.status == 200)


def title_of(raw: bytes) -> str:
    return raw.decode().rpartition("Title ")[2].partition(".")[0]


def journalled(project: Path) -> set[str]:
    """Articles that the journal has answers to."""
    path = project / "journal.db"
    if not path.exists():
        return set()
    connection = sqlite3.connect(path)
    try:
        hashes = {row[0] for row in connection.execute("SELECT article_hash FROM answers")}
    except sqlite3.OperationalError:  # it was killed before the table was made
        return set()
    finally:
        connection.close()
    from agent.records import Article

    articles = [Article(title=f"Title {number}.", content="Held on Monday.") for number in range(ARTICLES)]
    return {str(number) for number, article in enumerate(articles) if article.hash in hashes}


def quality(record: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in record["metrics"].items() if name.startswith(QUALITY)}


def labels(run_id: str) -> list[tuple[str, str, str]]:
    rows = mlflow.artifacts.load_dict(f"runs:/{run_id}/predictions.json")
    return [(row["id"], row["answer"]["category"], row["answer"]["sentiment"]) for row in rows]


def statuses(store: MlflowClient) -> list[str]:
    """Of all runs, the newest first."""
    experiment = store.get_experiment_by_name("news-classifier-external")
    assert experiment
    return [run.info.status for run in store.search_runs([experiment.experiment_id])]


def run_and_kill(llm: LLMServer, requests: int, later_s: float, *, whole_group: bool) -> None:
    """Start a run, and kill it when the service had so many requests."""
    process = start(*RUN)
    wait_until(lambda: len(llm.requests) >= requests, "it asks")
    time.sleep(later_s)
    assert process.poll() is None
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_asked_twice(project: Path, store: MlflowClient, llm: LLMServer) -> None:
    chance = random.Random()
    kept: set[str] = set()
    for kill in range(6):
        before = len(llm.requests)
        more = chance.randrange(1, 12)  # six times that, and what is in flight, leaves some to ask
        run_and_kill(llm, before + more, chance.uniform(0, 0.15), whole_group=kill % 2 == 1)
        wait_until(lambda: not at_work_in(project), "no process is left behind", 5)
        asked = {title_of(received.raw) for received in llm.requests[before:]}
        assert not asked & kept, "what is in the journal is not asked again"
        kept = journalled(project)
        twice = sum(times - 1 for times in answered(llm).values())
        assert twice <= CONCURRENCY * (kill + 1)
    before = len(llm.requests)
    done = command(*RUN)
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert {title_of(received.raw) for received in llm.requests[before:]}.isdisjoint(kept)
    assert resumed["fresh_calls"] == len(llm.requests) - before == ARTICLES - len(kept)
    assert resumed["cached_calls"] == len(kept) > 0
    whole = json.loads(command(*RUN, "--fresh").stdout)
    assert whole["fresh_calls"] == ARTICLES
    assert quality(resumed) == quality(whole)
    assert len(quality(whole)) > 20
    assert labels(resumed["run_id"]) == labels(whole["run_id"])
    assert statuses(store)[:2] == ["FINISHED"] * 2
    assert "FINISHED" not in statuses(store)[2:]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly_and_says_how_to_go_on(
    project: Path, store: MlflowClient, llm: LLMServer, number: signal.Signals, code: int
) -> None:
    """Regression: SIGTERM said nothing."""
    llm.script([Behaviour()] * 40)
    llm.behaviour = Behaviour(
        latency_s=5
    )  # so that it is not over before the signal comes, however slow this process is
    process = start(*RUN)
    wait_until(lambda: len(answered(llm)) >= 24, "it asks")
    wait_until(lambda: bool(store.get_experiment_by_name("news-classifier-external")), "the run has begun")
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == code
    last = said.splitlines()[-1]
    assert "the same command goes on" in last
    assert f" of {ARTICLES} articles were answered" in last
    assert "Traceback" not in said
    assert at_work_in(project) == []
    assert set(statuses(store)) <= {"FAILED"}
    assert len(journalled(project)) >= len(llm.requests) - CONCURRENCY


def test_a_worker_that_is_killed_is_one_clear_line(project: Path, llm: LLMServer) -> None:
    process = start(*RUN)
    wait_until(lambda: len(answered(llm)) >= 16, "it asks")
    [worker] = [pid for pid in at_work_in(project) if pid != process.pid]
    os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Error: The process of 'external-openai' ended" in said.splitlines()[-1]
    assert len(journalled(project)) >= 16 - CONCURRENCY


def test_a_request_that_ends_half_way_leaves_no_process(project: Path) -> None:
    """Regression: a process whose owner was killed while it wrote a request stayed for ever."""
    from agent.fingerprint import PACKAGE
    from agent.isolation import WORKER

    words = [sys.executable, "-P", str(WORKER), "candidate", str(PACKAGE)]
    done = subprocess.run(words, input='{"name": "x", "prov', capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0


def test_a_full_disk_ends_the_run_and_what_was_kept_stays(project: Path, store: MlflowClient, llm: LLMServer) -> None:
    script = """
import resource, runpy, sys
import agent.isolation, subprocess
popen = subprocess.Popen
class Small(popen):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
subprocess.Popen = Small
from serving.cli import main
main(sys.argv[1:])
"""
    words = [sys.executable, "-c", script, *RUN]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert "Error: The journal 'journal.db' cannot be written" in done.stderr.splitlines()[-1]
    assert set(statuses(store)) <= {"FAILED"}
    kept = journalled(project)
    asked = len(llm.requests)
    assert asked - CONCURRENCY <= len(kept) < ARTICLES


def test_a_journal_that_is_none_is_said_before_anything_is_asked(
    project: Path, store: MlflowClient, llm: LLMServer
) -> None:
    (project / "journal.db").write_text("just text, longer than a header of SQLite is" * 9, encoding="utf-8")
    done = command(*RUN)
    assert done.returncode == 3
    assert "Error: The journal 'journal.db' cannot be opened: file is not a database" in done.stderr
    assert llm.requests == []
    assert store.get_experiment_by_name("news-classifier-external") is None


def test_a_wrong_key_is_not_tried_with_every_article(
    project: Path, llm: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the process that asks went on while the run was being ended."""
    llm.behaviour = Behaviour(latency_s=0.05)
    monkeypatch.setenv("OPENAI_API_KEY", WRONG_KEY)
    done = command(*RUN)
    assert done.returncode == 3
    assert "OPENAI_API_KEY" in done.stderr
    assert len(llm.requests) <= 3 * CONCURRENCY


def need_usd(llm: LLMServer) -> float:
    price = load_candidate(provider="openai").price
    assert price
    billed = llm.billed("gpt-4o-mini")
    return (billed.input_tokens * price.input + billed.output_tokens * price.output) / 1e6


@pytest.mark.slow
def test_the_invoice_never_exceeds_the_budget_and_more_money_asks_the_rest(
    project: Path, store: MlflowClient, llm: LLMServer
) -> None:
    llm.behaviour = Behaviour(latency_s=0.02, status=429, retry_after="0")
    llm.script(Behaviour(latency_s=0.02, status=500 if number % 20 == 9 else 200) for number in range(100_000))
    many = (*RUN, "--concurrency", "64")
    assert command(*many).returncode == 0
    need = need_usd(llm)
    (project / "journal.db").unlink()
    llm.requests.clear()

    allowed = need / 3
    done = command(*many, "--max-usd", allowed)
    assert done.returncode == 3, done.stderr
    record = json.loads(done.stdout)
    spent = need_usd(llm)
    assert spent <= allowed
    assert sum(answered(llm).values()) > ARTICLES / 5, "it works on as long as calls fit"
    assert record["run_id"], done.stderr
    assert "the budget was spent" in record["partial"]
    assert store.get_run(record["run_id"]).info.status == "KILLED"
    refused = command("registry", "register", record["run_id"])
    assert refused.returncode == 2
    assert "is partial" in refused.stderr

    again = command("run", *many[2:], "--max-usd", allowed)
    assert again.returncode == 3
    assert "Nothing is registered" in again.stderr
    assert need_usd(llm) <= 2 * allowed
    assert store.search_registered_models() == []
    whole = command(*many, "--max-usd", 10 * need)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["partial"] is None
    assert set(answered(llm).values()) == {1}
    assert len(answered(llm)) == ARTICLES


def test_a_budget_that_ends_between_two_repeats_keeps_the_first(project: Path, llm: LLMServer) -> None:
    """Regression: a repeat without a single answer ended a run that had answers."""
    llm.behaviour = Behaviour()
    assert command(*RUN).returncode == 0
    done = command(*RUN, "--repeats", 2, "--max-usd", 0.0001)
    assert done.returncode == 3
    record = json.loads(done.stdout)
    assert f"with {ARTICLES} articles to go" in record["partial"]
    assert record["metrics"]["category_accuracy"] > 0.8
    assert len(llm.requests) == ARTICLES


def test_a_budget_without_a_price_is_refused_before_anything_is_logged(
    project: Path, store: MlflowClient, llm: LLMServer
) -> None:
    """Regression: the run had begun by then, and ended FAILED."""
    done = command(*RUN, "--model", "gpt-without-a-price", "--max-usd", 1)
    assert done.returncode == 2
    assert "no budget can be kept" in done.stderr.splitlines()[-1]
    assert llm.requests == []
    assert store.get_experiment_by_name("news-classifier-external") is None
