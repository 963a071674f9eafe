"""The journal: nothing that was kept is lost, nothing is asked twice, and what cannot be done is said."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.budget import Budget
from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.errors import JournalError
from agent.journal import APPLICATION_ID, Asked, Journal
from agent.providers import Pace
from agent.records import Article, Call
from agent.wires import Reply
from eval.candidates import load_candidate
from tests.eval.conftest import KEY, provider_environment
from tests.llm_server import Behaviour, LLMServer

ASKED = Asked("openai", "gpt-4o-mini", "config", "article", 0)
WRITER = """
import asyncio, sys
from pathlib import Path
from agent.journal import Asked, Journal
from agent.records import Call
from agent.wires import Reply

call = Call(stage="classify", model="openai:m", outcome="ok", latency_ms=1.0)

async def work(name, count):
    with Journal(Path(sys.argv[1])) as journal:
        async def keep(number):
            key = f"{name}-{number}"
            asked = Asked("openai", "m", "c", key, 0)
            await journal.keep(key.encode(), asked, Reply("text " * 40, "end", None), [call])
            print(key, flush=True)
        for start in range(0, count, 8):
            await asyncio.gather(*(keep(number) for number in range(start, start + 8)))

asyncio.run(work(sys.argv[2], int(sys.argv[3])))
"""


def call(**changes: Any) -> Call:
    return Call(stage="classify", model="openai:gpt-4o-mini", outcome="ok", latency_ms=12.5, **changes)


def keep(journal: Journal, *names: str, asked: Asked = ASKED, **changes: Any) -> None:
    """Keep an answer under each name, each in a commit of its own."""

    async def work() -> None:
        for name in names:
            reply = Reply(f"Category: {name}", "end", None)
            await asyncio.wait_for(
                journal.keep(name.encode(), asked._replace(article_hash=name), reply, [call(**changes)]), 20
            )

    asyncio.run(work())


def writer(path: Path, name: str, count: int, **options: Any) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_an_answer_is_found_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    failed = Call(stage="classify", model="openai:gpt-4o-mini", outcome="rate_limited", latency_ms=3.0, cost_usd=0.0)
    answered = call(input_tokens=7, output_tokens=2, cost_usd=0.25)
    with Journal(path) as journal:
        asyncio.run(journal.keep(b"k", ASKED, Reply("Category: Sports\n\0 ü", "truncated", None), [failed, answered]))
        assert journal.find(b"other") is None
    with Journal(path) as journal:
        kept = journal.find(b"k")
        [summary] = journal.summaries()
    assert kept
    assert kept.reply == Reply("Category: Sports\n\0 ü", "truncated", None)
    assert kept.calls == tuple(each.model_copy(update={"cached": True}) for each in (failed, answered))
    assert (summary.answers, summary.articles, summary.cost_usd) == (1, 1, 0.25)


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose process ended without closing it: twelve commits, all of them in the -wal file."""
    folder = tmp_path_factory.mktemp("cut")
    with Journal(folder / "open.db") as journal:
        keep(journal, *(f"k{number:02}" for number in range(12)))
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"open.db{suffix}", folder / f"journal.db{suffix}")
    return folder


@settings(max_examples=60)
@given(data=st.data())
def test_a_torn_end_loses_only_what_was_not_committed(cut_off: Path, data: st.DataObject) -> None:
    wal = (cut_off / "journal.db-wal").read_bytes()
    assert len(wal) > 12 * 4096
    length = data.draw(st.integers(0, len(wal)), label="bytes that reached the disk")
    tail = data.draw(st.binary(max_size=64), label="and what stands behind them")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "journal.db"
        shutil.copy(cut_off / "journal.db", path)
        (path.parent / "journal.db-wal").write_bytes(wal[:length] + tail)
        with Journal(path) as journal:
            found = [journal.find(f"k{number:02}".encode()) is not None for number in range(12)]
            assert found == sorted(found, reverse=True), "what was kept first is lost last"
            assert length < len(wal) or all(found)
            keep(journal, "more")
        with Journal(path) as journal:
            assert journal.find(b"more")


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writers = [writer(path, name, 240) for name in ("one", "two", "three")]
    for process in writers:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    with Journal(path) as journal:
        assert all(journal.find(f"{name}-{n}".encode()) for name in ("one", "two", "three") for n in range(240))
        assert sum(summary.answers for summary in journal.summaries()) == 720


def test_what_was_said_to_be_kept_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    killed, other = writer(path, "killed", 100_000), writer(path, "other", 400)
    assert killed.stdout
    said = [killed.stdout.readline().strip() for _ in range(100)]
    killed.send_signal(signal.SIGKILL)
    said += killed.communicate(timeout=20)[0].split()
    assert other.communicate(timeout=60)[1] == ""
    with Journal(path) as journal:
        assert [key for key in [*said, *(f"other-{n}" for n in range(400))] if not journal.find(key.encode())] == []


@pytest.mark.parametrize("statement", [1, 2, 3, 4, 5])
def test_two_processes_make_the_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: int) -> None:
    """Regression: a file that another process was just making was taken for a database of something else."""
    path, connect, me = tmp_path / "journal.db", sqlite3.connect, threading.get_ident()
    other = threading.Thread(target=lambda: Journal(path).close())

    class Slow(sqlite3.Connection):
        executed = 0

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            self.executed += 1
            if self.executed == statement and threading.get_ident() == me and not other.ident:
                other.start()
                other.join(0.3)
            return super().execute(*arguments)

    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Slow))
    with Journal(path) as journal:
        other.join()
        keep(journal, "k")
        assert journal.find(b"k")


def not_ours(path: Path, script: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()


def damaged(path: Path) -> None:
    with Journal(path) as journal:
        keep(journal, *(f"k{number}" for number in range(200)))
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


WRONG = {
    "no database": (lambda path: path.write_text("just text, longer than a header of SQLite is" * 9), "not a database"),
    "of something else": (lambda path: not_ours(path, "CREATE TABLE runs (id)"), "something else"),
    "newer": (
        lambda path: not_ours(path, f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2"),
        "version 2, newer than 1",
    ),
    "a folder": (lambda path: path.mkdir(), "unable to open"),
    "damaged": (damaged, "malformed|disk image"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_journal_is_named_and_left_alone(tmp_path: Path, kind: str) -> None:
    make, reason = WRONG[kind]
    path = tmp_path / "journal.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=reason) as raised, Journal(path) as journal:
        journal.find(b"k1")
    assert repr(str(path)) in str(raised.value)
    assert raised.value.exit_code == 3
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_record_that_is_damaged_is_the_journals_error_and_not_an_articles(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        keep(journal, "k")
        not_ours(path, "UPDATE answers SET calls = substr(calls, 1, 20)")
        with pytest.raises(JournalError, match="cannot be read"):
            journal.find(b"k")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_place_is_named(what: str) -> None:
    script = """
import os, sys
from pathlib import Path
from agent.journal import Journal
from tests.agent.test_journal import keep
if os.geteuid() == 0:
    os.setuid(65534)
with Journal(Path(sys.argv[1])) as journal:
    keep(journal, "k")
"""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "journal.db"
        Journal(path).close()
        path.chmod(0o444)
        Path(scratch).chmod(0o555 if what == "folder" else 0o777)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "JournalError" in last
    assert str(path) in last


def test_a_full_disk_ends_the_writing_and_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n{WRITER}"
    words = [sys.executable, "-c", script, str(path), "k", "8000"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "agent.errors.JournalError: The journal" in done.stderr
    assert str(path) in done.stderr.splitlines()[-1]
    said = done.stdout.split()
    assert len(said) >= 8
    with Journal(path) as journal:
        assert [key for key in said if not journal.find(key.encode())] == []


def test_an_answer_that_cannot_be_written_is_an_error_and_never_waited_for(tmp_path: Path) -> None:
    """Regression: half a character ended the writing thread, and everybody waited for ever."""

    async def work(journal: Journal) -> None:
        with pytest.raises(UnicodeEncodeError):
            await asyncio.wait_for(journal.keep(b"k", ASKED, Reply("half \ud83d", "end", None), [call()]), 10)

    with Journal(tmp_path / "journal.db") as journal:
        asyncio.run(work(journal))
        keep(journal, "k")
        assert journal.find(b"k")


def test_answers_can_be_forgotten_and_pruned(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        keep(journal, "a", "b", "c", cost_usd=1.0)
        keep(journal, "d", asked=ASKED._replace(model="other"))
        assert {(found.model, found.answers, found.cost_usd) for found in journal.summaries()} == {
            ("gpt-4o-mini", 3, 3.0),
            ("other", 1, None),
        }
        gone = [ASKED._replace(article_hash=name) for name in ("a", "a", "d", "nobody")]
        assert journal.forget(gone) == 1
        assert journal.forget(gone) == 0
        assert journal.find(b"a") is None
        assert journal.prune(time.time() - 60) == 0
        assert journal.prune(time.time() + 60, "other") == 1
        assert journal.prune(time.time() + 60) == 2
        assert journal.summaries() == []


def test_forgetting_is_quick_in_a_large_journal(tmp_path: Path) -> None:
    """Regression: `--fresh` looked at every answer once for each article: half a minute for 1,000 of 100,000."""
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        with sqlite3.connect(path) as connection:
            rows = ((b"%d" % n, *ASKED[:3], str(n), 0, 1.0, 1, 0.1, "x", "end", "y" * 300) for n in range(50_000))
            connection.executemany(f"INSERT INTO answers VALUES ({', '.join('?' * 12)})", rows)
        connection.close()
        started = time.monotonic()
        assert journal.forget(ASKED._replace(article_hash=str(n)) for n in range(1000)) == 1000
        assert time.monotonic() - started < 3


# What is asked again, counted at a service.


@pytest.fixture
def llm(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    with LLMServer(api_key=KEY) as server:
        for name, value in provider_environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


def ask(config: AgentConfig, titles: list[str], repeat: int = 0) -> list[tuple[str | None, str | None, bool]]:
    """Category, sentiment and whether it was in the journal, by article."""
    articles = [Article(title=title, content="Held on Monday.") for title in titles]
    with Journal(Path("journal.db")) as journal:
        pace = Pace(4, patient=True, journal=journal, repeat=repeat, budget=Budget(1.0))
        found = sorted(Classifier(config).classify(articles, pace), key=lambda pair: pair[0])
    return [(record.category, record.sentiment, all(call.cached for call in record.calls)) for _, record in found]


def test_a_change_asks_again_what_it_touches_and_nothing_else(llm: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_candidate(provider="openai")
    titles = [f"Title {number}" for number in range(10)]

    def asked(config: AgentConfig, titles: list[str], repeat: int = 0) -> int:
        before = len(llm.requests)
        ask(config, titles, repeat)
        return len(llm.requests) - before

    assert [asked(config, titles) for _ in range(2)] == [10, 0]
    assert asked(config, ["Changed", *titles[1:]]) == 1
    assert asked(config, titles[::-1]) == 0
    assert [asked(config, titles, repeat=1) for _ in range(2)] == [10, 0]
    assert config.prompt
    prompt = config.prompt.model_copy(update={"system": f"{config.prompt.system} Be brief."})
    for touched in ({"prompt": prompt}, {"params": {"temperature": 0.5}}, {"max_output_tokens": 512}):
        changed = config.model_copy(update=touched)
        assert [asked(changed, titles) for _ in range(2)] == [10, 0], touched
    for untouched in ({"name": "renamed"}, {"note": "n"}, {"max_concurrency": 3}, {"price": config.price}):
        assert asked(config.model_copy(update=untouched), titles) == 0, untouched
    assert asked(load_candidate(provider="anthropic"), titles) == 10
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llm.url.replace('127.0.0.1', 'localhost')}/v1")
    assert asked(config, titles) == 10


@pytest.mark.parametrize("text", ["Sports \ud83d", f"Sports {KEY}"])
def test_odd_answers_read_the_same_from_the_journal(llm: LLMServer, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Regression: half a character made a run hang; a secret in an answer made its second question another one."""
    config = load_candidate(provider="openai").model_copy(update={"answer_format": "lines"})
    llm.answers = lambda _: (text, "Neutral")
    first = ask(config, ["One", "Two"])
    before = len(llm.requests)
    assert before >= 2
    again = ask(config, ["One", "Two"])
    assert [answer[:2] for answer in again] == [answer[:2] for answer in first]
    assert all(cached for _, _, cached in again)
    assert len(llm.requests) == before


def test_failures_are_not_kept_and_answers_beside_them_are(llm: LLMServer) -> None:
    config = AgentConfig.model_validate(
        load_candidate(provider="openai").model_dump() | {"retries": {"first_wait_s": 0.01}, "timeouts": {"total_s": 2}}
    )
    llm.script([Behaviour(), Behaviour(status=400), Behaviour()])
    ask(config, ["One", "Two", "Three"])
    assert len(llm.requests) == 3
    assert [cached for *_, cached in ask(config, ["One", "Two", "Three"])].count(False) == 1
    assert len(llm.requests) == 4
