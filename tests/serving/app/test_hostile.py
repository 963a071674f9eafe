"""Requests that mean harm, or nothing: each gets the right refusal, nothing is given away, and the server goes on."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from serving.app.control import CONTROL_FILE
from serving.app.keys import make_key
from tests.serving.app.conftest import PlainApp, wait_until
from tests.serving.running import serving

MARK = "Zorbelund"
"""Stands in every article, key and header of these tests; no refusal and no log may hold it."""
NDJSON = "application/x-ndjson"
MB = 1_000_000
MOST_GROWTH_MB = 400
"""Of the server's memory; where a body's entries are read before they are counted, one request takes more."""
HOST = b"Host: localhost\r\n"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def http(
    body: bytes = b"",
    path: str = "/classify",
    content_type: str | None = "application/json",
    method: str = "POST",
    **headers: str,
) -> bytes:
    """A request, as bytes; its connection ends with the answer."""
    given = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(body))}
    given |= {"Content-Type": content_type} if content_type is not None else {}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        yield connection


def received(connection: socket.socket) -> Answer:
    answer = HTTPResponse(connection)
    answer.begin()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, headers, answer.read())


def ask(app: PlainApp, *parts: bytes) -> Answer:
    with connected(app.url) as connection:
        for part in parts:
            connection.sendall(part)
        return received(connection)


def refused(answer: Answer, status: int, app: PlainApp) -> dict[str, Any]:
    """Its fields. Fails where it is another refusal, or tells too much."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.fields
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["status"] == status
    for secret in (MARK, "Traceback", str(app.folder), "site-packages", ".py"):
        assert secret not in answer.body.decode()
    return found


def memory_mb(app: PlainApp, field: str = "VmRSS") -> float:
    """Of the server's process."""
    port = f"--port\0{urlsplit(app.url).port}\0".encode()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and port in (entry / "cmdline").read_bytes():
                lines = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
                return int(lines[field].split()[0]) / 1000
        except OSError:  # it ended meanwhile
            continue
    raise AssertionError("the server is gone")


def is_well(app: PlainApp) -> bool:
    answer = ask(app, http(json.dumps({"title": f"{MARK} wins the cup final"}).encode()))
    return answer.status == 200 and answer.fields["error"] is None


def metrics(app: PlainApp) -> str:
    return ask(app, http(path="/metrics", method="GET")).body.decode()


def counted(app: PlainApp, route: str, status: int) -> float:
    """How many requests of a route were answered so."""
    start = f'news_requests_total{{route="{route}",status="{status}"}} '
    return sum(float(line.removeprefix(start)) for line in metrics(app).splitlines() if line.startswith(start))


@pytest.fixture(scope="module", autouse=True)
def unharmed(plain_app: PlainApp) -> Iterator[None]:
    """After all of these tests the server answers, is no bigger, and its log says nothing of what it was sent."""
    assert is_well(plain_app)
    before = memory_mb(plain_app)
    yield
    assert is_well(plain_app)
    assert memory_mb(plain_app) - before < MOST_GROWTH_MB
    log = (plain_app.folder / "serve.log").read_text(encoding="utf-8")
    for secret in (MARK, "Traceback", "Exception", "failed: "):
        assert secret not in log


DEEP = b"[" * 100_000
UNREADABLE = [
    b"",
    b"{",
    b"\xff\xfe{}",
    b'{"title": "\xc3\x28"}',
    b'\xef\xbb\xbf{"title": "t"}',
    b'{"title": NaN}',
    b'{"title": Infinity}',
    b'{"title": "t", "id": -Infinity}',
    b'{"title": "\\ud800"}',
    b'{"title": "t", "id": ' + b"9" * 5000 + b"}",
    b'{"title": ' + DEEP,
    b'{"title": ' + DEEP + b"]" * len(DEEP) + b"}",
    b'{"title": "t"} {"title": "t"}',
    b'{"title": "a\0b"}',
    b"{'title': 't'}",
    f"{MARK}=1&title=t".encode(),
]
WRONG_SHAPES: list[Any] = [
    None,
    True,
    5,
    "text",
    [],
    [{"title": MARK}],
    {},
    {"titel": MARK},
    {"title": None},
    {"title": 5, "content": MARK},
    {"title": [MARK]},
    {"content": {"text": MARK}},
    {"title": True},
    {"title": "", "content": " \n\t\u2003"},
    {"title": MARK, "id": 1.5},
    {"title": MARK, "id": True},
    {"title": MARK, "id": [MARK]},
    {"title": MARK, "id": 1e400},
    {"title": MARK, "id": MARK * 1000},
    {"articles": None},
    {"articles": MARK},
    {"articles": {"title": MARK}},
    {"content": "a" * 200_001},
    {"title": "a" * 100_000, "content": "b" * 100_001},
]
WRONG_REQUESTS: list[Any] = [
    {},
    {"input": None},
    {"input": 5},
    {"input": {"role": "user", "content": MARK}},
    {"input": []},
    {"input": [MARK]},
    {"input": [None]},
    {"input": [[{"role": "user", "content": MARK}]]},
    {"input": [{"role": "system", "content": MARK}]},
    {"input": [], "custom_inputs": MARK},
    {"input": [], "custom_inputs": [MARK]},
    {"input": [], "custom_inputs": {MARK: MARK}},
    {"input": [], "custom_inputs": {"articles": {"title": MARK}}},
    {"input": MARK, "stream": "true"},
    {"input": MARK, "stream": 1},
    {"input": '{"articles": "' + MARK + '"}'},
]


@pytest.mark.parametrize("body", UNREADABLE)
@pytest.mark.parametrize("path", ["/classify", "/responses"])
def test_what_is_no_json_is_refused(plain_app: PlainApp, path: str, body: bytes) -> None:
    refused(ask(plain_app, http(body, path)), 400, plain_app)


@pytest.mark.parametrize("body", WRONG_SHAPES)
def test_an_article_of_another_shape_is_refused(plain_app: PlainApp, body: object) -> None:
    refused(ask(plain_app, http(json.dumps(body).replace("Infinity", "1e400").encode())), 422, plain_app)


@pytest.mark.parametrize("body", WRONG_REQUESTS)
@pytest.mark.parametrize("path", ["/invocations", "/responses", "/endpoints/news/invocations"])
def test_a_request_of_another_shape_is_refused(plain_app: PlainApp, path: str, body: object) -> None:
    refused(ask(plain_app, http(json.dumps(body).encode(), path)), 422, plain_app)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        '{"title": "\\ud800"}',
        '{"title": "t", "id": "\\udfff"}',
        '{"title": NaN}',
        '{"title": "t", "id": 1e999}',
        json.dumps({"title": "", "content": ""}),
    ],
)
def test_an_article_inside_a_text_that_is_none_has_an_error_of_its_own(
    plain_app: PlainApp, text: str, stream: bool
) -> None:
    answer = ask(plain_app, http(json.dumps({"input": text, "stream": stream}).encode(), "/invocations"))
    assert answer.status == 200
    assert b'"invalid_article"' in answer.body


def test_strange_articles_are_answered_as_they_are(plain_app: PlainApp) -> None:
    strange: Sequence[dict[str, object]] = [
        {"title": "nul \0 and \x1b[31m and \u202e", "id": "\0"},
        {"title": "a" * 200_000, "id": 10**4000},
        {"title": "<script>alert(1)</script> ' OR 1=1; -- {{7*7}} ${x} %s %n", "id": -1},
        {"title": "\U0001f600" * 1000, "id": "'; DROP TABLE predictions; --"},
    ]
    broken: list[object] = [None, 5, "text", [], {}, {"title": 5}, {"title": "a" * 200_001}]
    answer = ask(plain_app, http(json.dumps({"articles": [*strange, *broken]}).encode()))
    assert answer.status == 200
    records = answer.fields["classifications"]
    assert [record["id"] for record in records[: len(strange)]] == [article["id"] for article in strange]
    assert [record["error"] is None for record in records] == [True] * len(strange) + [False] * len(broken)


def test_the_last_of_two_equal_keys_holds(plain_app: PlainApp) -> None:
    answer = ask(plain_app, http(b'{"title": "first", "id": 1, "title": "second", "id": 2}'))
    assert (answer.status, answer.fields["id"]) == (200, 2)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        ";",
        "é/ü",
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/invocations", "/v1/responses"])
def test_another_content_type_is_refused(plain_app: PlainApp, path: str, content_type: str | None) -> None:
    refused(ask(plain_app, http(b'{"title": "t"}', path, content_type)), 415, plain_app)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", " APPLICATION/JSON ;x=y", "application/json;"]
)
@pytest.mark.parametrize("accept", ["*/*", "text/html", "", "application/json;q=0", "é"])
def test_json_is_json_however_it_is_written(plain_app: PlainApp, content_type: str, accept: str) -> None:
    assert ask(plain_app, http(b'{"title": "t"}', content_type=content_type, Accept=accept)).status == 200


class TestLines:
    def test_a_line_that_is_no_json_has_all_of_them_refused(self, plain_app: PlainApp) -> None:
        body = f'{{"title": "{MARK}"}}\n{{"title": \n'.encode()
        refused(ask(plain_app, http(body, content_type=NDJSON)), 400, plain_app)

    def test_a_line_that_is_no_article_has_an_error_of_its_own(self, plain_app: PlainApp) -> None:
        answer = ask(plain_app, http(b'\r\n[]\r\n\n{"title": "t", "id": 7}\n5', content_type=NDJSON))
        records = [json.loads(line) for line in answer.body.splitlines()]
        assert [(record["id"], record["error"] is None) for record in records] == [
            (None, False),
            (7, True),
            (None, False),
        ]

    @pytest.mark.parametrize("body", [b"", b"\n\n", b"  \r\n"])
    def test_no_line_has_no_answer(self, plain_app: PlainApp, body: bytes) -> None:
        answer = ask(plain_app, http(body, content_type=NDJSON))
        assert (answer.status, answer.body) == (200, b"")


class TestSize:
    def test_no_article_has_no_answer(self, plain_app: PlainApp) -> None:
        answer = ask(plain_app, http(b'{"articles": []}'))
        assert (answer.status, answer.fields) == (200, {"classifications": []})

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/classify", {"articles": [{"title": MARK}] * 1001}),
            ("/invocations", {"input": [], "custom_inputs": {"articles": [{"title": MARK}] * 1001}}),
            ("/responses", {"input": json.dumps({"articles": [{"title": MARK}] * 1001})}),
        ],
    )
    def test_too_many_articles(self, plain_app: PlainApp, path: str, body: object) -> None:
        refused(ask(plain_app, http(json.dumps(body).encode(), path)), 413, plain_app)

    @pytest.mark.parametrize(
        ("path", "content_type", "start", "entry", "end"),
        [
            ("/classify", "application/json", b'{"articles":[', b"1,", b"1]}"),
            ("/classify", NDJSON, b"", b"1\n", b""),
            ("/invocations", "application/json", b'{"input":"{\\"articles\\":[', b"1,", b'1]}"}'),
        ],
    )
    def test_a_body_full_of_entries_is_refused_before_they_are_read(
        self, plain_app: PlainApp, path: str, content_type: str, start: bytes, entry: bytes, end: bytes
    ) -> None:
        before = memory_mb(plain_app)
        body = start + entry * 1_900_000 + end
        refused(ask(plain_app, http(body, path, content_type)), 413, plain_app)
        assert memory_mb(plain_app, "VmHWM") - before < MOST_GROWTH_MB

    @pytest.mark.parametrize("is_announced", [True, False])
    def test_a_long_body_is_refused_and_whoever_sends_it_hears_that(
        self, plain_app: PlainApp, is_announced: bool
    ) -> None:
        body = MARK.encode().ljust(20 * MB, b" ")
        if is_announced:
            parts = [http(body).replace(b"Connection: close\r\n", b"")]
        else:
            head = b"POST /classify HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
            chunks = [b"%x\r\n%b\r\n" % (MB, body[place : place + MB]) for place in range(0, len(body), MB)]
            parts = [head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"]
        refused(ask(plain_app, *parts), 413, plain_app)

    def test_a_body_that_is_only_announced_is_refused_at_once(self, plain_app: PlainApp) -> None:
        head = http().replace(b"Content-Length: 0", b"Expect: 100-continue\r\nContent-Length: 18446744073709551615")
        refused(ask(plain_app, head), 413, plain_app)

    def test_a_connection_goes_on_after_a_long_body(self, plain_app: PlainApp) -> None:
        with connected(plain_app.url) as connection:
            connection.sendall(http(b" " * 5 * MB).replace(b"Connection: close\r\n", b""))
            assert received(connection).status == 413
            connection.sendall(http(b'{"title": "t"}'))
            assert received(connection).status == 200

    @pytest.mark.parametrize("length", [b"0" * 5000 + b"14", b"00014"])
    def test_a_length_with_many_zeros(self, plain_app: PlainApp, length: bytes) -> None:
        answer = ask(plain_app, http(b'{"title": "t"}').replace(b"Length: 14", b"Length: " + length))
        assert answer.status == 200

    @pytest.mark.parametrize("header", [b"X-Long: " + b"a" * MB, b"X-Many: a\r\n" * 100_000])
    def test_a_head_without_end_is_ended(self, plain_app: PlainApp, header: bytes) -> None:
        before = memory_mb(plain_app)
        with connected(plain_app.url) as connection, pytest.raises(OSError, match=r"reset|Broken pipe|closed"):
            connection.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + header * 100)
        assert memory_mb(plain_app, "VmHWM") - before < MOST_GROWTH_MB

    def test_a_long_head_is_told_so(self, plain_app: PlainApp) -> None:
        refused(ask(plain_app, b"GET /ping HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 66_000), 431, plain_app)


class TestTime:
    def test_a_slow_head_is_not_waited_for(self, plain_app: PlainApp) -> None:
        started = time.monotonic()
        refused(ask(plain_app, b"GET /ping HTTP/1.1\r\n" + HOST), 408, plain_app)
        assert 2 < time.monotonic() - started < 20

    def test_a_slow_body_is_not_waited_for(self, plain_app: PlainApp) -> None:
        found = refused(ask(plain_app, http(b"").replace(b"Length: 0", b"Length: 50") + b"{"), 408, plain_app)
        assert found["detail"] == "The body did not arrive within 3 s."

    def test_slow_bodies_keep_nobody_out(self, plain_app: PlainApp) -> None:
        head = http(b"").replace(b"Length: 0", b"Length: 3000000") + b"{"
        place = urlsplit(plain_app.url)
        slow = [socket.create_connection((place.hostname, place.port)) for _ in range(150)]
        for connection in slow:
            connection.sendall(head)
        try:
            assert is_well(plain_app)
        finally:
            for connection in slow:
                connection.close()

    def test_what_follows_a_refusal_slowly_is_not_waited_for(self, plain_app: PlainApp) -> None:
        with connected(plain_app.url) as connection:
            connection.sendall(http(b"").replace(b"Connection: close\r\nContent-Length: 0", b"Content-Length: 9000000"))
            assert received(connection).status == 413
            connection.sendall(b"{")
            assert connection.recv(1) == b""

    def test_a_body_that_ends_early_ends_with_its_connection(self, plain_app: PlainApp) -> None:
        before = counted(plain_app, "/classify", 499)
        with connected(plain_app.url) as connection:
            connection.sendall(http(b"").replace(b"Length: 0", b"Length: 50") + MARK.encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        wait_until(lambda: counted(plain_app, "/classify", 499) == before + 1)


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\0\0\0\0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    f"{MARK}\r\n\r\n".encode(),
    "GET /é HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    b"GET http://elsewhere HTTP/1.1\r\n" + HOST + b"\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /ping HTTP/1.1\r\n" + HOST + b"X-A: b\0c\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n\r\n",
    http(b"{}").replace(b"Content-Length: 2", b"Content-Length: -2"),
    http(b"{}").replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
    http(b"{}").replace(b"Content-Length: 2", b"Content-Length: " + b"9" * 5000),
    http(b"0\r\n\r\n").replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"),
    http(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: gzip") + b"abc",
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_http_is_refused(plain_app: PlainApp, data: bytes) -> None:
    refused(ask(plain_app, data), 400, plain_app)


def test_what_is_no_http_does_not_stand_within_an_answer(plain_app: PlainApp) -> None:
    """Regression: the refusal of what came after a request was written into the answer that was being sent."""
    articles = [{"title": f"{MARK} wins cup number {number}", "content": "goal " * 300} for number in range(1000)]
    request = http(json.dumps({"articles": articles}).encode(), Accept=NDJSON, Connection="keep-alive")
    with connected(plain_app.url) as connection:
        connection.sendall(request)
        data = connection.recv(1)
        connection.sendall(f"{MARK}\r\n\r\n".encode())
        data += b"".join(iter(lambda: connection.recv(65536), b""))
    assert data.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400" not in data


@pytest.mark.parametrize("pause_s", [0, 0.1])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_caller_who_offers_another_protocol_is_answered_in_this_one(
    plain_app: PlainApp, pause_s: float, is_chunked: bool
) -> None:
    """Regression: Java's clients, which offer HTTP/2, were told that their body is no JSON."""
    body = json.dumps({"title": f"{MARK} wins the cup final"}).encode()
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    head = http(**offer, Content_Length=str(len(body)))
    if is_chunked:
        head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with connected(plain_app.url) as connection:
        for request in (head, body), (head, body):
            for part in request if pause_s else [b"".join(request)]:
                connection.sendall(part)
                time.sleep(pause_s)
            answer = received(connection)
            assert answer.status == 200
            assert answer.fields["error"] is None


def test_a_body_behind_an_offer_is_no_request(plain_app: PlainApp) -> None:
    """Regression: a body that came after its head was read as the next request, past whoever checked the first one."""
    inner = http(path="/ping", method="GET")
    with connected(plain_app.url) as connection:
        connection.sendall(http(Connection="Upgrade", Upgrade="h2c", Content_Length=str(len(inner))))
        time.sleep(0.1)
        connection.sendall(inner)
        refused(received(connection), 400, plain_app)
        connection.sendall(http(path="/ping", method="GET", X_Request_Id="next"))
        assert received(connection).headers["x-request-id"] == "next"


class TestRoutes:
    @pytest.mark.parametrize(
        "path",
        [
            f"/{MARK}",
            "/",
            "//ping",
            "/ping/",
            "/PING",
            "/ping%2f",
            "/ping%ff",
            "/%00",
            "/../../etc/passwd",
            "/%2e%2e/etc/passwd",
            "/endpoints//invocations",
            "/endpoints/a%2fb/invocations",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_what_is_not_there(self, plain_app: PlainApp, method: str, path: str) -> None:
        refused(ask(plain_app, http(path=path, method=method)), 404, plain_app)

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
    def test_a_method_that_a_route_does_not_have(self, plain_app: PlainApp, method: str) -> None:
        answer = ask(plain_app, http(method=method))
        refused(answer, 405, plain_app)
        assert answer.headers["allow"] == "POST"

    def test_the_server_as_a_whole_has_no_options(self, plain_app: PlainApp) -> None:
        refused(ask(plain_app, http(path="*", method="OPTIONS")), 404, plain_app)

    def test_head_has_the_head_alone(self, plain_app: PlainApp) -> None:
        with connected(plain_app.url) as connection:
            connection.sendall(http(path="/ping", method="HEAD"))
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        assert data.startswith(b"HTTP/1.1 200 ")
        assert data.endswith(b"\r\n\r\n")

    def test_requests_without_waiting_are_answered_in_order(self, plain_app: PlainApp) -> None:
        with connected(plain_app.url) as connection:
            several = b"".join(http(path="/ping", method="GET", X_Request_Id=f"r{number}") for number in range(50))
            connection.sendall(
                several.replace(b"Connection: close\r\n", b"", 49).replace(b"Connection: close\r\n", b"")
            )
            connection.sendall(http(path="/ping", method="GET", X_Request_Id="last"))
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        ids = [line.partition(b": ")[2] for line in data.split(b"\r\n") if line.startswith(b"x-request-id")]
        assert ids == [*(b"r%d" % number for number in range(50)), b"last"]

    def test_http_1_0(self, plain_app: PlainApp) -> None:
        request = b"GET /ping HTTP/1.0\r\n"
        assert ask(plain_app, request + HOST + b"\r\n").status == 200
        refused(ask(plain_app, request + b"\r\n"), 403, plain_app)

    def test_the_control_route_needs_its_token(self, plain_app: PlainApp) -> None:
        token = json.loads((plain_app.folder / "serving-state" / CONTROL_FILE).read_text())["token"]
        for wrong in ({}, {"X-Control-Token": MARK}, {"X-Control-Token": token[:-1]}, {"X-Control-Token": "é"}):
            for method in ("GET", "PUT"):
                answer = ask(plain_app, http(b'{"challenger_percent": 100}', "/traffic", method=method, **wrong))
                assert token not in json.dumps(refused(answer, 401, plain_app))
        for body in (b"{", b"[]", b'{"challenger_percent": 101}', b'{"zorb": 1}', b""):
            answer = ask(plain_app, http(body, "/traffic", method="PUT", **{"X-Control-Token": token}))
            refused(answer, 422, plain_app)

    def test_requests_are_counted_by_route_and_never_by_a_name_that_a_caller_made_up(self, plain_app: PlainApp) -> None:
        route = "/endpoints/{name}/invocations"
        before, others = counted(plain_app, route, 200), counted(plain_app, "other", 404)
        for name in ("news", MARK):
            body = json.dumps({"input": "Club wins the cup final"}).encode()
            assert ask(plain_app, http(body, f"/endpoints/{name}/invocations")).status == 200
        assert ask(plain_app, http(b"{}", f"/endpoints/{MARK}/{MARK}/invocations")).status == 404
        assert counted(plain_app, route, 200) == before + 2
        assert counted(plain_app, "other", 404) == others + 1
        assert MARK not in metrics(plain_app)


class TestNames:
    @pytest.mark.parametrize(
        "host", ["elsewhere.example", "localhost.elsewhere.example", "", "[", "169.254.169.254", "é"]
    )
    def test_another_host_is_refused(self, plain_app: PlainApp, host: str) -> None:
        refused(ask(plain_app, http(b'{"title": "t"}', Host=host)), 403, plain_app)

    @pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "", "file://", "http://[", "localhost"])
    def test_a_page_of_another_site_is_refused(self, plain_app: PlainApp, origin: str) -> None:
        refused(ask(plain_app, http(b'{"title": "t"}', Origin=origin)), 403, plain_app)

    @pytest.mark.parametrize("names", [{"Host": "127.0.0.1:1"}, {"Host": "[::1]"}, {"Origin": "http://localhost:3000"}])
    def test_loopback_is_answered(self, plain_app: PlainApp, names: dict[str, str]) -> None:
        assert ask(plain_app, http(b'{"title": "t"}', **names)).status == 200

    @pytest.mark.parametrize("given", ["", "a" * 65, "a" * 30_000, "a b", "é", "<b>", "-a", "a\tb", "../a", "1\u00b2"])
    def test_an_id_that_is_none_is_replaced(self, plain_app: PlainApp, given: str) -> None:
        answer = ask(plain_app, http(path="/ping", method="GET", X_Request_Id=given))
        assert len(answer.headers["x-request-id"]) == 32

    @pytest.mark.parametrize("given", ["a", "A-1_2.3:4", "a" * 64])
    def test_an_id_is_kept(self, plain_app: PlainApp, given: str) -> None:
        answer = ask(plain_app, http(path=f"/{MARK}", X_Request_Id=given))
        assert refused(answer, 404, plain_app)["request_id"] == given


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    return MARK + "0123456789", make_key()[0]


@pytest.fixture(scope="module")
def locked(plain_app: PlainApp, keys: tuple[str, str]) -> Iterator[PlainApp]:
    """A server of its own on the same store, with two keys; the second may be used three times a minute."""
    settings = {
        "api_keys": [
            {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "requests_per_minute": limit}
            for name, key, limit in zip(("desk", "few"), keys, (6000, 3), strict=True)
        ]
    }
    (plain_app.folder / "locked.yaml").write_text(yaml.safe_dump(settings))
    options = ["--settings", "locked.yaml", "--state", "locked-state"]
    with serving(plain_app.folder, plain_app.environment, "app", *options, ready="/ready") as url:
        yield plain_app._replace(url=url)


class TestKeys:
    def test_whoever_has_no_key_is_told_the_same(self, locked: PlainApp, keys: tuple[str, str]) -> None:
        wrong: Sequence[dict[str, str]] = [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": f"Bearer {MARK}"},
            {"Authorization": f"Bearer {keys[0]}x"},
            {"Authorization": f"Bearer {keys[0][:-1]}"},
            {"Authorization": f"Basic {keys[0]}"},
            {"Authorization": keys[0]},
            {"Authorization": "Bearer é"},
            {"Authorization": "Bearer " + "a" * 30_000},
            {"X_API_Key": MARK},
            {"X_API_Key": ""},
        ]
        told = []
        for headers in wrong:
            for path, body in (("/classify", b'{"title": "t"}'), ("/invocations", b"{"), (f"/{MARK}", b"")):
                answer = ask(locked, http(body, path, **headers))
                found = refused(answer, 401, locked)
                assert answer.headers["www-authenticate"] == "Bearer"
                told.append({name: value for name, value in found.items() if name != "request_id"})
        assert all(fields == told[0] for fields in told)

    def test_keys_are_taken_in_both_headers(self, locked: PlainApp, keys: tuple[str, str]) -> None:
        for headers in (
            {"Authorization": f"Bearer {keys[0]}"},
            {"authorization": f"bearer  {keys[0]} "},
            {"X_API_Key": keys[0]},
        ):
            assert ask(locked, http(b'{"title": "t"}', **headers)).status == 200

    def test_a_key_that_is_used_too_often_waits(self, locked: PlainApp, keys: tuple[str, str]) -> None:
        answers = [ask(locked, http(b"{", X_API_Key=keys[1])) for _ in range(4)]
        assert [answer.status for answer in answers] == [400, 400, 400, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        refused(answers[-1], 429, locked)
        assert ask(locked, http(b'{"title": "t"}', X_API_Key=keys[0])).status == 200

    def test_who_has_no_key_is_not_even_listened_to(self, locked: PlainApp) -> None:
        head = (
            http(b"").replace(b"Content-Length: 0", b"Content-Length: 15000000").replace(b"Connection: close\r\n", b"")
        )
        refused(ask(locked, head), 401, locked)

    def test_probes_need_no_key_and_descriptions_do(self, locked: PlainApp) -> None:
        paths = ("/ping", "/health", "/ready", "/version", "/metrics", "/docs", "/openapi.json", "/ping%0a")
        statuses = [ask(locked, http(path=path, method="GET")).status for path in paths]
        assert statuses == [200, 200, 200, 401, 401, 401, 401, 401]
