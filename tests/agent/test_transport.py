import asyncio
import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agent.background import iterate, run
from agent.transport import MAX_RESPONSE_BYTES, Response, Timeouts, Transport, Unanswered
from tests.agent.providers.conftest import PROXIES, answering, http, within
from tests.llm_server import Behaviour, LLMServer

LISTED = "/v1/models"
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def listening() -> Iterator[LLMServer]:
    with LLMServer() as server:
        yield server


@pytest.fixture
def server(listening: LLMServer, monkeypatch: pytest.MonkeyPatch) -> LLMServer:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    listening.reset()
    return listening


@pytest.fixture
def transport(server: LLMServer) -> Iterator[Transport]:
    transport = Transport(Timeouts(connect_s=0.2, read_s=0.3))
    yield transport
    run(transport.close())
    run(transport.close())


def send(transport: Transport, url: str, body: bytes | None = None, wait_s: float = 5) -> Response:
    """A POST of the body, or a GET without one."""
    headers = {"Authorization": "Bearer sk-test-0123456789"}
    return run(transport.request("POST" if body else "GET", url, headers, body, wait_s))


def fail(transport: Transport, url: str, wait_s: float = 5) -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        send(transport, url, b"{}", wait_s)
    return caught.value


def test_what_is_sent_arrives_and_what_comes_back_is_returned(server: LLMServer, transport: Transport) -> None:
    server.models = {"a-model"}
    listed = send(transport, server.url + LISTED)
    refused = send(transport, server.url + CHAT, b'{"no": "model"}')
    assert (listed.status, refused.status) == (200, 400)
    assert b"a-model" in listed.body
    assert listed.headers["CONTENT-TYPE"] == listed.headers["content-type"]
    assert server.requests[-1].body == {"no": "model"}


def test_a_closed_port_is_no_connection_and_nothing_was_sent(transport: Transport) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    unanswered = fail(transport, f"http://127.0.0.1:{port}")
    assert (unanswered.timed_out, unanswered.sent) == (False, False)
    assert "no connection" in str(unanswered)


def test_a_host_that_takes_no_connection_is_given_up_in_time_and_nothing_was_sent(transport: Transport) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than its queue holds
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        unanswered = fail(transport, f"http://127.0.0.1:{full.getsockname()[1]}")
    assert (unanswered.timed_out, unanswered.sent) == (True, False)


@pytest.mark.parametrize(("wait_s", "least_s"), [(5, 0.3), (0.1, 0.1)], ids=["read_s", "what is left"])
def test_an_answer_is_waited_for_as_long_as_allowed_and_may_be_billed(
    server: LLMServer, transport: Transport, wait_s: float, least_s: float
) -> None:
    server.behaviour = Behaviour(hang=True)
    started = time.monotonic()
    unanswered = fail(transport, server.url + CHAT, wait_s)
    assert least_s <= time.monotonic() - started < least_s + 0.3
    assert (unanswered.timed_out, unanswered.sent) == (True, True)
    assert f"within {least_s:g} s" in str(unanswered)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x00\x01nonsense\r\n\r\n",
        b"HTTP/1.1 what\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        http(b"not gzip", "200 OK", "Content-Encoding: gzip"),
    ],
    ids=["nothing", "nonsense", "no status", "too short", "chunks", "long header", "no gzip"],
)
def test_a_broken_response_is_no_answer_and_may_be_billed(transport: Transport, response: bytes) -> None:
    with answering(response) as url:
        unanswered = fail(transport, url)
    assert (unanswered.timed_out, unanswered.sent) == (False, True)


@pytest.mark.parametrize(
    "response",
    [
        http(b"x" * (MAX_RESPONSE_BYTES + 1)),
        http(gzip.compress(bytes(50 * MAX_RESPONSE_BYTES)), "200 OK", "Content-Encoding: gzip"),
    ],
    ids=["plain", "packed"],
)
def test_an_answer_beyond_all_measure_is_not_read_to_its_end(server: LLMServer, response: bytes) -> None:
    transport = Transport(Timeouts(read_s=10))
    with answering(response) as url:
        unanswered = fail(transport, url)
    run(transport.close())
    assert "longer than 4,194,304 bytes" in str(unanswered)


def test_redirects_are_returned_and_not_followed(server: LLMServer, transport: Transport) -> None:
    with answering(http(b"", "302 Found", f"Location: {server.url}{LISTED}")) as url:
        assert send(transport, url).status == 302
    assert server.requests == []


def test_cookies_are_not_kept(server: LLMServer, transport: Transport) -> None:
    with answering(http(b"", "200 OK", "Set-Cookie: session=1; Path=/")) as url:
        send(transport, url)
        send(transport, server.url + LISTED)
    assert "cookie" not in server.requests[0].headers


def test_the_proxy_of_the_environment_is_used_but_for_its_exceptions(
    server: LLMServer, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert send(transport, f"http://provider.invalid{LISTED}").status == 200
    assert server.requests[0].headers["host"] == "provider.invalid"
    with answering(http(b"direct")) as url:
        assert send(transport, url).body == b"direct"


def test_a_proxy_may_be_written_without_its_scheme(
    server: LLMServer, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removeprefix("http://"))
    assert send(transport, f"http://provider.invalid{LISTED}").status == 200


@pytest.mark.parametrize("url", ["http://", "http://host:99999", "http://a b", "ftp://host", "host"])
def test_an_address_that_is_none_is_no_answer(transport: Transport, url: str) -> None:
    assert not fail(transport, url).timed_out


# The loop in the background.


def test_a_reader_sees_items_as_they_come_and_then_the_failure() -> None:
    async def produce(hand_over: object) -> None:
        hand_over(1)  # type: ignore[operator]
        hand_over(2)  # type: ignore[operator]
        raise LookupError("third")

    items = iterate(produce)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(LookupError, match="third"):
        next(items)


def test_a_reader_who_leaves_stops_the_work() -> None:
    ended: list[str] = []

    async def produce(hand_over: object) -> None:
        try:
            hand_over(1)  # type: ignore[operator]
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    items = iterate(produce)
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]
    within(1, lambda: run(asyncio.sleep(0.01)))
    assert ended == ["ended"]
