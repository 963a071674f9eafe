"""Both clients against a server that misbehaves: retries, limits, order, and what an error tells and does not tell."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError, DataError, NewsClassifierError, ServiceError
from agent.failures import RetrySettings
from agent.records import Article, Classification
from agent.transport import Timeouts
from serving.client import AsyncNewsClassifier, NewsClassifier
from serving.invocations import MAX_BODY_BYTES, batches, encode
from tests.serving.classifier_server import ClassifierServer, Reply

KEY = "example-key-of-this-test"
SECRET_TEXT = "Zorbelund"
QUICK = RetrySettings(first_wait_s=0.05, longest_wait_s=0.1)
BRIEF = Timeouts(connect_s=1, read_s=1, total_s=2)
Titles = Callable[..., list[str | None]]


@pytest.fixture
def server() -> Iterator[ClassifierServer]:
    with ClassifierServer() as listening:
        yield listening


def ask_and_wait(address: str, titles: list[str], batch_size: int = 4, **settings: object) -> list[Classification]:
    with NewsClassifier(address, **settings) as classifier:  # type: ignore[arg-type]
        return list(classifier.classify_many([Article(title=title) for title in titles], batch_size))


def ask_and_await(address: str, titles: list[str], batch_size: int = 4, **settings: object) -> list[Classification]:
    async def ask() -> list[Classification]:
        async with AsyncNewsClassifier(address, **settings) as classifier:  # type: ignore[arg-type]
            return [one async for one in classifier.classify_many([{"title": title} for title in titles], batch_size)]

    return asyncio.run(ask())


@pytest.fixture(params=[ask_and_wait, ask_and_await], ids=["waits", "is_awaited"])
def ask(request: pytest.FixtureRequest) -> Callable[..., list[Classification]]:
    return request.param  # type: ignore[no-any-return]


Ask = Callable[..., list[Classification]]


def becomes_idle(server: ClassifierServer) -> bool:
    deadline = time.monotonic() + 10
    while server.in_flight and time.monotonic() < deadline:
        time.sleep(0.02)
    return server.in_flight == 0


def test_one_article(server: ClassifierServer) -> None:
    async def one() -> Classification:
        async with AsyncNewsClassifier(f"{server.url}/") as classifier:
            return await classifier.classify(title="Science", content="text")

    with NewsClassifier(f"{server.url}/invocations") as classifier:
        assert classifier.classify(title="Science", content="text") == asyncio.run(one())
    assert [asked.articles for asked in server.asked] == [[{"id": None, "title": "Science", "content": "text"}]] * 2


def test_many_come_in_order_with_several_requests_in_flight(server: ClassifierServer, ask: Ask) -> None:
    server.script.extend(Reply(latency_s=(10 - n) / 50) for n in range(10))
    titles = [f"t{n}" for n in range(39)]
    assert [record.category for record in ask(server.url, titles, in_flight=3)] == titles
    assert sorted(len(asked.articles) for asked in server.asked) == [3, *[4] * 9]
    assert server.most_in_flight == 3


def test_articles_are_read_as_they_are_needed_and_what_is_not_wanted_is_cancelled(server: ClassifierServer) -> None:
    server.script.extend([Reply(latency_s=0.2)] * 2)  # so that the third request cannot overtake the second
    server.reply = Reply(latency_s=60)
    read = []

    def endless() -> Iterator[Article]:
        while True:
            read.append(1)
            yield Article(title="t")

    with NewsClassifier(server.url, in_flight=2) as classifier:
        answers = classifier.classify_many(endless(), batch_size=5)
        for _ in range(7):
            next(answers)
        answers.close()  # type: ignore[attr-defined]
        assert len(read) <= 5 * 4 + 1
        assert becomes_idle(server)


def test_only_title_content_and_id_are_sent_in_batches_that_fit(server: ClassifierServer) -> None:
    long = "x" * (MAX_BODY_BYTES // 2)
    rows = [{"id": n, "title": f"t{n}", "content": long, "gold": "Sports"} for n in range(3)]
    with NewsClassifier(server.url) as classifier:
        assert [record.id for record in classifier.classify_many(rows)] == [0, 1, 2]
    assert [len(asked.articles) for asked in server.asked] == [1, 1, 1]
    assert all(asked.articles[0].keys() == {"id", "title", "content"} for asked in server.asked)


@given(lengths=st.lists(st.integers(0, 3000), max_size=30), most=st.integers(1, 8), most_bytes=st.integers(1, 6000))
def test_batches_hold_every_article_once_in_order_and_within_both_limits(
    lengths: list[int], most: int, most_bytes: int
) -> None:
    made = list(batches((Article(title="x" * length) for length in lengths), most, most_bytes))
    assert [article for batch in made for article in batch] == [encode(Article(title="x" * n)) for n in lengths]
    assert all(1 <= len(batch) <= most for batch in made)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= most_bytes for batch in made)


def test_a_busy_server_is_asked_again_when_it_said(server: ClassifierServer, ask: Ask) -> None:
    server.script.extend([Reply(503, {"Retry-After": "1"}), Reply(429, {"Retry-After": "1"}), Reply(500)])
    started = time.monotonic()
    [record] = ask(server.url, ["Sports"], retries=QUICK)
    assert time.monotonic() - started >= 2
    assert record.category == "Sports"
    assert len(server.asked) == 4


def test_many_refusals_of_a_busy_server_do_not_end_the_work(server: ClassifierServer) -> None:
    server.script.extend([Reply(503, {"Retry-After": "0.1"})] * 20)
    assert len(ask_and_await(server.url, ["Sports"] * 20, 1, in_flight=10, retries=QUICK)) == 20


FAULTS: list[tuple[Reply, list[str], int]] = [
    (Reply(400), ["status 400, BAD_REQUEST", "that of a news classifier"], 1),
    (Reply(401, error_code="UNAUTHENTICATED"), ["status 401, UNAUTHENTICATED", "NEWS_CLASSIFIER_API_KEY"], 1),
    (Reply(404, error_code=SECRET_TEXT), ["status 404.", "Check the address"], 1),
    (Reply(413, {"X-Request-Id": "req-1"}), ["request req-1", "batch_size"], 1),
    (Reply(429), ["status 429", "in_flight"], 2),
    (Reply(500), ["status 500", "server's log"], 2),
    (Reply(503, {"Retry-After": "0"}), ["status 503", "Ask later"], 2),
    (Reply(drop=True), ["the connection broke", "Check that the server runs"], 2),
    (Reply(latency_s=1.5), ["no answer within", "Wait longer"], 2),
    (Reply(body=f"<html>{SECRET_TEXT}"), ["holds no classifications"], 1),
    (Reply(body='{"custom_outputs": {"classifications": []}}'), ["1 articles got 0 records"], 1),
    (
        Reply(body=f'{{"custom_outputs": {{"classifications": [{{"category": "{SECRET_TEXT}", "model": "m"}}]}}}}'),
        ["the record has at '0.provider': Field required"],
        1,
    ),
]


@pytest.mark.parametrize(("reply", "said", "asked"), FAULTS)
def test_an_error_says_where_what_and_what_to_do_and_nothing_of_the_article_or_the_key(
    server: ClassifierServer, ask: Ask, reply: Reply, said: list[str], asked: int
) -> None:
    server.reply = reply
    with pytest.raises(ServiceError) as raised:
        ask(server.url, [SECRET_TEXT], api_key=KEY, retries=QUICK, timeouts=BRIEF)
    message = str(raised.value)
    for part in (f"{server.url}/invocations gave no answer: ", *said):
        assert part in message
    assert SECRET_TEXT not in message
    assert KEY not in message
    assert raised.value.status == (None if reply.drop or reply.latency_s else reply.status)
    assert len(server.asked) == 1 if asked == 1 else len(server.asked) > 1


def test_what_came_before_a_failure_is_handed_over(server: ClassifierServer) -> None:
    server.script.extend([Reply(), Reply(400)])
    with NewsClassifier(server.url) as classifier:
        records = classifier.classify_many([{"title": str(n)} for n in range(4)], batch_size=2)
        assert [next(records).category for _ in range(2)] == ["0", "1"]
        with pytest.raises(ServiceError):
            next(records)


def test_nobody_there_is_said_soon(ask: Ask) -> None:
    with ClassifierServer() as gone:
        address = gone.url
    started = time.monotonic()
    with pytest.raises(ServiceError, match=r"no connection .*Check that the server runs"):
        ask(address, ["t"], retries=QUICK)
    assert time.monotonic() - started < 15


def test_the_key_is_given_or_in_the_environment(
    server: ClassifierServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.api_key = KEY
    assert ask(server.url, ["t"], api_key=KEY)
    monkeypatch.setenv("NEWS_CLASSIFIER_API_KEY", f"{KEY}\n")
    assert ask(server.url, ["t"])
    with pytest.raises(ServiceError, match="status 401"):
        ask(server.url, ["t"], api_key="another-example")


@pytest.mark.parametrize(
    "form", ["databricks://news-classifier", "{url}/serving-endpoints/news-classifier/invocations"]
)
def test_a_databricks_endpoint_is_asked_with_the_login_of_the_environment(
    server: ClassifierServer, ask: Ask, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", KEY)
    monkeypatch.setenv("NEWS_CLASSIFIER_API_KEY", "another-example")
    server.api_key = KEY
    assert ask(form.format(url=server.url), ["t"])
    assert server.asked[0].path == "/serving-endpoints/news-classifier/invocations"


def test_the_login_of_one_workspace_is_not_sent_to_another(
    server: ClassifierServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://another.example.com")
    monkeypatch.setenv("DATABRICKS_TOKEN", KEY)
    address = f"{server.url}/serving-endpoints/news-classifier"
    with pytest.raises(ConfigError, match=r"signs in to https://another\.example\.com"):
        NewsClassifier(address)
    with NewsClassifier(address, api_key=KEY) as classifier:
        classifier.classify("t")


WRONG: list[tuple[Callable[[str], object], type[NewsClassifierError], str]] = [
    (lambda url: NewsClassifier("localhost:8000"), ConfigError, "'localhost:8000' is no address"),
    (lambda url: NewsClassifier("databricks://a/b"), ConfigError, "is no address"),
    (lambda url: NewsClassifier(f"{url}?key=whatever-it-is"), ConfigError, "keys do not belong into it"),
    (lambda url: NewsClassifier(url, in_flight=0), ConfigError, "in_flight is 0"),
    (lambda url: ask_and_wait(url, ["t"], 0), ConfigError, "batch_size is 0"),
    (lambda url: list(NewsClassifier(url).classify_many([{"title": {1}}])), DataError, r"\(title: set\)"),
]


@pytest.mark.parametrize(("use", "kind", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_use_is_said(
    server: ClassifierServer, use: Callable[[str], object], kind: type[NewsClassifierError], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        use(server.url)
    assert "whatever" not in str(raised.value)
    assert not server.asked


def test_a_closed_client_says_so(server: ClassifierServer) -> None:
    classifier = NewsClassifier(server.url)
    classifier.classify("t")
    classifier.close()
    classifier.close()
    with pytest.raises(ServiceError, match="is closed"):
        classifier.classify("t")


def test_one_client_serves_several_loops_and_threads(server: ClassifierServer) -> None:
    classifier = AsyncNewsClassifier(server.url)
    for _ in range(2):
        assert asyncio.run(classifier.classify(title="Health")).category == "Health"
    asyncio.run(classifier.close())


def test_what_is_not_awaited_any_more_is_not_asked_any_more(server: ClassifierServer) -> None:
    server.reply = Reply(latency_s=60)

    async def give_up() -> None:
        async with AsyncNewsClassifier(server.url) as classifier, asyncio.timeout(1):
            await classifier.classify("t")

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert becomes_idle(server)
    assert len(server.asked) == 1


def test_it_is_imported_without_mlflow_and_pandas() -> None:
    check = "import sys, serving.client; print({'mlflow', 'pandas', 'rich', 'databricks'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
