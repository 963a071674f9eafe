"""The server as a real process: versions that change, die and share the traffic while it is asked."""

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
from click.testing import CliRunner

from agent.champion import CHAMPION
from serving.cli import main
from serving.predictions.store import read_predictions
from tests.llm_server import Behaviour
from tests.serving.app.conftest import (
    ARTICLE,
    BROKEN,
    CHALLENGER,
    GONE,
    LLM,
    LOCAL,
    OTHER_LOCAL,
    App,
    post_ready,
    wait_until,
)
from tests.serving.running import post


class Callers:
    """Ask all the time, until the context ends; what was answered is counted."""

    def __init__(self, app: App, count: int = 4) -> None:
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str | None] = Counter()
        self._app = app
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        asked = 0
        while not self._stop.is_set():
            asked += 1
            status, version, _ = self._app.ask(f"Club {number} wins final {asked}")
            self.statuses[status] += 1
            self.versions[version] += 1


def test_no_request_fails_while_the_champion_changes(calm: App) -> None:
    with Callers(calm) as callers:
        calm.point(CHAMPION, OTHER_LOCAL)
        wait_until(lambda: calm.version() == OTHER_LOCAL)
        time.sleep(0.3)
    assert set(callers.statuses) == {200}
    assert set(callers.versions) == {LOCAL, OTHER_LOCAL}
    wait_until(lambda: len(calm.workers()) == 1)


def test_a_version_that_cannot_be_loaded_never_serves_and_raises_an_alert(calm: App) -> None:
    failing = 'news_swap_failing{role="champion"}'
    calm.point(CHAMPION, BROKEN)
    wait_until(lambda: calm.metric(failing) == 1)
    assert calm.ask()[:2] == (200, LOCAL)
    calm.point(CHAMPION, OTHER_LOCAL)
    wait_until(lambda: calm.version() == OTHER_LOCAL)
    assert calm.metric(failing) == 0


def test_the_alert_ends_when_the_alias_points_back_to_who_serves(calm: App) -> None:
    failing = 'news_swap_failing{role="champion"}'
    calm.point(CHAMPION, BROKEN)
    wait_until(lambda: calm.metric(failing) == 1)
    calm.point(CHAMPION, LOCAL)
    wait_until(lambda: calm.metric(failing) == 0)
    assert calm.version() == LOCAL


def test_the_alert_ends_when_nobody_wants_the_challenger_that_failed(calm: App) -> None:
    failing = 'news_swap_failing{role="challenger"}'
    calm.point(CHALLENGER, BROKEN)
    wait_until(lambda: "cannot be loaded" in calm.traffic("--challenger", "10").stderr)
    assert calm.metric(failing) == 1
    calm.point(CHALLENGER, None)
    wait_until(lambda: calm.metric(failing) == 0)


def test_a_challenger_whose_files_are_gone_keeps_no_champion_out(calm: App) -> None:
    calm.point(CHALLENGER, GONE)
    wait_until(lambda: calm.metric("news_registry_unreadable") == 1)
    calm.point(CHAMPION, OTHER_LOCAL)
    wait_until(lambda: calm.version() == OTHER_LOCAL)
    calm.point(CHALLENGER, None)
    wait_until(lambda: calm.metric("news_registry_unreadable") == 0)


def test_the_files_of_versions_that_are_given_up_are_removed(calm: App) -> None:
    def downloads() -> int:
        return len([*(calm.folder / "temporary").glob("news-classifier-*/*")])

    failing = 'news_swap_failing{role="champion"}'
    wait_until(lambda: downloads() == 1)
    calm.point(CHAMPION, BROKEN)
    wait_until(lambda: calm.metric(failing) == 1)
    assert downloads() == 2
    calm.point(CHAMPION, OTHER_LOCAL)
    wait_until(lambda: calm.version() == OTHER_LOCAL and downloads() == 1)  # neither who failed nor who served before
    calm.point(CHAMPION, BROKEN)
    wait_until(lambda: calm.metric(failing) == 1)  # it is there again
    calm.point(CHALLENGER, GONE)
    wait_until(lambda: calm.metric("news_registry_unreadable") == 1)
    wait_until(lambda: downloads() == 2)


def test_a_challenger_that_is_promoted_is_the_champion_in_every_way(calm: App) -> None:
    calm.point(CHALLENGER, OTHER_LOCAL)
    wait_until(lambda: calm.traffic("--challenger", "50").returncode == 0)
    [*before] = calm.workers()
    calm.point(CHAMPION, OTHER_LOCAL)
    calm.point(CHALLENGER, None)
    wait_until(lambda: calm.version() == OTHER_LOCAL)
    with urllib.request.urlopen(f"{calm.url}/version") as answer:
        assert json.load(answer)["alias"] == CHAMPION
    assert set(calm.workers()) <= set(before)  # its workers were there


def test_what_the_champion_answered_for_a_challenger_that_died_has_the_champions_version(calm: App) -> None:
    before = calm.workers()
    calm.point(CHALLENGER, LLM)
    wait_until(lambda: calm.traffic("--challenger", "100").returncode == 0)
    [challengers] = set(calm.workers()) - set(before)
    calm.llm.behaviour = Behaviour(latency_s=5)
    answers: list[tuple[int, str | None, dict[str, object]]] = []
    caller = threading.Thread(target=lambda: answers.append(calm.ask("Rowers win gold")))
    caller.start()
    wait_until(lambda: calm.llm.in_flight == 1)
    os.kill(challengers, signal.SIGKILL)
    caller.join()
    [(status, version, record)] = answers
    assert (status, version, record["provider"]) == (200, LOCAL, "sklearn")


def test_a_version_that_fails_the_smoke_set_never_serves(calm: App) -> None:
    calm.llm.behaviour = Behaviour(status=400)
    calm.point(CHAMPION, LLM)
    wait_until(lambda: calm.metric('news_swap_failing{role="champion"}') == 1)
    assert calm.version() == LOCAL
    calm.llm.behaviour = Behaviour()
    wait_until(lambda: calm.version() == LLM)  # it is tried again
    assert calm.ask()[1] == LLM


def test_a_killed_worker_costs_503s_at_most_and_is_replaced(calm: App) -> None:
    restarts = calm.metric("news_worker_restarts_total")
    with Callers(calm) as callers:
        time.sleep(0.2)
        for pid in calm.workers():
            os.kill(pid, signal.SIGKILL)
        while_nobody_is_there = post(f"{calm.url}/classify", b'{"title": " "}')[0]
        wait_until(lambda: calm.metric("news_worker_restarts_total") > restarts and post_ready(calm.url) == 200)
        time.sleep(0.2)
    assert set(callers.statuses) <= {200, 503}
    assert callers.statuses[503] > 0
    assert while_nobody_is_there == HTTPStatus.UNPROCESSABLE_ENTITY
    assert calm.ask()[0] == 200


def test_workers_that_die_soon_are_replaced_after_pauses_that_grow(calm: App) -> None:
    calm.point(CHAMPION, OTHER_LOCAL)  # nothing is known of its workers yet
    wait_until(lambda: calm.version() == OTHER_LOCAL and len(calm.workers()) == 1)
    pauses_s = []
    for _ in range(3):
        wait_until(lambda: post_ready(calm.url) == 200)
        [dying] = calm.workers()
        died = time.monotonic()
        os.kill(dying, signal.SIGKILL)
        wait_until(lambda: post_ready(calm.url) == 503)
        wait_until(lambda: set(calm.workers()) - {dying})  # noqa: B023 - it is waited for here
        pauses_s.append(time.monotonic() - died)
    first, second, third = pauses_s
    assert first < second
    assert second >= 1
    assert third >= 2


def test_the_challenger_gets_its_share_and_an_article_always_the_same_version(calm: App) -> None:
    calm.point(CHALLENGER, OTHER_LOCAL)
    wait_until(lambda: calm.traffic("--challenger", "30").returncode == 0)
    titles = [f"Club {number} wins" for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        first = list(threads.map(lambda title: calm.ask(title)[1], titles))
        again = list(threads.map(lambda title: calm.ask(title)[1], titles))
    assert first == again
    assert 30 <= first.count(OTHER_LOCAL) <= 90
    body = json.dumps({"articles": [{"title": title} for title in titles]}).encode()
    request = urllib.request.Request(f"{calm.url}/classify", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["X-Model-Version"] == f"{LOCAL},{OTHER_LOCAL}"
        assert len(json.load(answer)["classifications"]) == len(titles)


def test_shares_without_a_challenger_are_refused_and_change_nothing(calm: App) -> None:
    wait_until(lambda: calm.traffic("--challenger", "10").returncode == 3)  # that of another test is forgotten soon
    refused = calm.traffic("--challenger", "10")
    assert refused.returncode == 3
    assert "has no challenger" in refused.stderr
    assert json.loads(calm.traffic("--json").stdout)["challenger_percent"] == 0


def test_what_a_killed_challenger_leaves_is_the_champions_and_says_so(calm: App) -> None:
    champions = calm.workers()
    calm.point(CHALLENGER, LLM)
    wait_until(lambda: calm.traffic("--challenger", "100").returncode == 0)
    calm.llm.behaviour = Behaviour(latency_s=5)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(calm.ask)
        wait_until(lambda: calm.llm.in_flight == 1)
        for pid in set(calm.workers()) - set(champions):
            os.kill(pid, signal.SIGKILL)
        status, version, record = asked.result()
    assert (status, version, record["provider"]) == (200, LOCAL, "sklearn")


def test_the_shadow_is_logged_and_never_returned(calm: App) -> None:
    calm.point(CHALLENGER, LLM)
    wait_until(lambda: calm.traffic("--shadow", "100").returncode == 0)
    since = time.time()
    for number in range(10):
        status, version, record = calm.ask(f"Striker {number} scores")
        assert (status, version, record["provider"]) == (200, LOCAL, "sklearn")
    state = calm.folder / "serving-state"
    wait_until(lambda: len([row for row in read_predictions(state) if row.time >= since]) == 20)
    rows = [row for row in read_predictions(state) if row.time >= since]
    assert Counter((row.role, row.version) for row in rows) == {("champion", LOCAL): 10, ("shadow", LLM): 10}
    queue = ["serve", "queue", "--state", str(state), "--json"]
    found = json.loads(CliRunner().invoke(main, queue, catch_exceptions=False).stdout)
    assert len(found["queue"]) == 10  # the service calls everything politics
    by_request = {row.request_id: row.article_hash for row in rows}
    assert all(by_request[row.request_id] == row.article_hash for row in rows)


def test_a_challenger_that_fails_too_often_loses_its_share(calm: App) -> None:
    calm.point(CHALLENGER, LLM)
    wait_until(lambda: calm.traffic("--challenger", "50").returncode == 0)
    calm.llm.behaviour = Behaviour(status=400)
    for number in range(200):
        calm.ask(f"Keeper {number} saves")
        if calm.metric("news_challenger_halted"):
            break
    shown = json.loads(calm.traffic("--json").stdout)
    assert shown["challenger_percent"] == 0
    assert "error rate" in shown["halted"]
    calm.llm.behaviour = Behaviour()
    assert {calm.ask(f"Keeper {number} saves")[1] for number in range(20)} == {LOCAL}


def test_a_provider_that_does_not_answer_is_a_503_with_retry_after(calm: App) -> None:
    calm.point(CHAMPION, LLM)
    wait_until(lambda: calm.version() == LLM)
    calm.llm.behaviour = Behaviour(status=400)
    status, _, problem = calm.ask()
    assert status == 503
    assert problem["error_code"] == "TEMPORARILY_UNAVAILABLE"
    status, text = post(f"{calm.url}/invocations", json.dumps({"input": [], "custom_inputs": {"title": "x"}}).encode())
    assert status == 200
    assert json.loads(text)["custom_outputs"]["classifications"][0]["error"]["type"] == "provider_error"


def test_many_articles_stream_as_they_come(calm: App) -> None:
    lines = b"".join(json.dumps({"id": n, "title": f"Club {n} wins"}).encode() + b"\n" for n in range(600))
    request = urllib.request.Request(f"{calm.url}/classify", lines, {"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert [json.loads(line)["id"] for line in answer] == list(range(600))


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_nobody_is_asked_for_a_caller_who_has_left(calm: App, kind: str) -> None:
    calm.point(CHAMPION, LLM)
    wait_until(lambda: calm.version() == LLM)
    calm.llm.behaviour = Behaviour(latency_s=20)
    article = json.dumps(ARTICLE).encode()
    gone = 'news_requests_total{route="/classify",status="499"}'
    before = calm.metric(gone)
    log = calm.folder / "serve.log"
    said = len(log.read_text(encoding="utf-8"))
    head = (
        f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(article)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(calm.url.rpartition(":")[2]))) as caller:
        caller.sendall(head.encode() + article)
        wait_until(lambda: calm.llm.in_flight == 1)
        assert calm.metric("news_requests_in_flight") == 1
    wait_until(lambda: calm.llm.in_flight == 0 and calm.metric("news_requests_in_flight") == 0, seconds=10)
    is_stream = kind == "application/x-ndjson"  # whose answer has begun, with 200
    assert calm.metric(gone) == before + (not is_stream)
    assert "Request" not in log.read_text(encoding="utf-8")[said:]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", ""])
def test_another_name_may_not_ask_a_server_on_loopback(calm: App, host: str) -> None:
    assert calm.ask(Host=host)[0] == 403
