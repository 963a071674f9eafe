import json
import logging
import time
from collections.abc import Callable, Iterator

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import ConfigError, NewsClassifierError
from agent.redaction import (
    REDACTED,
    SECRET_LIKE,
    RedactingFilter,
    holds_secret,
    redact,
    redact_logs,
    redact_traces,
    redact_value,
    without,
)
from tests.conftest import ROOT

HEX = "0123456789abcdef"
START = "sk-"
KEYS = {
    "OpenAI": f"{START}proj-Ab3_dEf-{HEX}{HEX}",
    "Anthropic": f"{START}ant-api03-AbCdEf_{HEX}-AbCdEf",
    "Databricks": f"dapi{HEX}{HEX}-2",
    "OAuth secret": f"dose{HEX}{HEX}",
    "JSON web token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJlLXNpZw",
}
PROSE = st.text(st.characters(codec="utf-8"), max_size=20)
GAPS = st.sampled_from([" ", "\n", '"', "'", "=", ":", ",", "(", "/", "\u00bb", "{"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@given(PROSE, GAPS, st.sampled_from(sorted(KEYS)), st.sampled_from([" ", "\n", '"', ",", ")", "}", "\u00ab"]), PROSE)
def test_what_looks_like_a_key_is_taken_out_wherever_it_stands(
    before: str, gap: str, name: str, after: str, rest: str
) -> None:
    clean = redact(f"{before}{gap}{KEYS[name]}{after}{rest}")
    assert KEYS[name] not in clean
    assert REDACTED in clean
    assert redact(clean) == clean


WORDS = st.sampled_from(
    [
        "://u:p4ssw0rd@h",
        "?key=",
        "api_key=",
        "api-key=",
        "token=",
        "password=",
        "basic ",
        "bearer ",
        HEX,
        *KEYS.values(),
    ]
)


@given(st.lists(st.tuples(PROSE, WORDS, st.sampled_from([str.lower, str.upper, str.title, str])), max_size=4), PROSE)
def test_the_quick_look_overlooks_nothing(pieces: list[tuple[str, str, Callable[[str], str]]], end: str) -> None:
    text = "".join(before + case(word) for before, word, case in pieces) + end
    assert without([], text) == SECRET_LIKE.sub(REDACTED, text)


@given(PROSE, VALUES, PROSE)
def test_a_secret_of_the_environment_is_taken_out_even_of_the_middle_of_a_word(
    before: str, value: str, after: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_API_KEY", value)
        clean = redact(f"{before}{value}{value}{after}")
        assert value not in clean
        assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2hunter2@proxy:3128/",
        "Authorization: Bearer abcdefghijkl0123456789",
        "authorization: bearer\tabcdefghijkl0123456789",
        *KEYS.values(),
        KEYS["Databricks"].upper(),
    ],
)
def test_other_shapes_of_secrets_are_known(text: str) -> None:
    assert holds_secret(text)
    for part in ("hunter2", "abcdefghijkl", "0123456789"):
        assert part not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A task-force of risk-averse banks",
        "max_tokens: 1024",
        "https://host:8080/path",
        "Bearer of bad news",
        "dapi",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_password_behind_a_key_in_an_address_is_taken_out() -> None:
    clean = redact(f"https://{KEYS['OpenAI']}:hunter2hunter2@host/")
    assert "hunter2" not in clean


def test_a_placeholder_for_a_key_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "redacted")
    clean = redact("OPENAI_API_KEY is 'redacted'.")
    assert redact(clean) == clean


def test_no_text_takes_long() -> None:
    for part in ("eyJ-", "sk-", "dapi0", "bearer ", "://a:", "user@"):
        started = time.perf_counter()
        redact(part * (20_000 // len(part)))
        assert time.perf_counter() - started < 0.1, part


def test_only_variables_named_like_secrets_and_long_enough_hold_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A_API_KEY", "A_TOKEN", "A_CLIENT_SECRET", "A_PASSWORD", "a_password"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "plain-words")
            assert redact("these are plain-words") == f"these are {REDACTED}"
    monkeypatch.setenv("MAX_TOKENS", "plain-words")
    monkeypatch.setenv("KEY_FILE", "plain-words")
    monkeypatch.setenv("B_TOKEN", "plain")
    assert redact("these are plain-words") == "these are plain-words"


def test_the_longer_of_two_secrets_that_begin_alike_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "abcdefgh")
    monkeypatch.setenv("B_KEY", "abcdefgh-and-more")
    assert redact("abcdefgh-and-more") == REDACTED


def test_data_keeps_its_shape_and_loses_its_secrets() -> None:
    key = KEYS["OpenAI"]
    value = {
        "x-api-key": "short",
        "Authorization": "Basic eHg=",
        "max_tokens": 5,
        "token": None,
        "turns": [{"text": f"my key is {key}"}, ("a", key, 1.5)],
    }
    assert redact_value(value) == {
        "x-api-key": REDACTED,
        "Authorization": REDACTED,
        "max_tokens": 5,
        "token": None,
        "turns": [{"text": f"my key is {REDACTED}"}, ("a", REDACTED, 1.5)],
    }
    assert value["x-api-key"] == "short"


def test_errors_and_configurations_show_no_key() -> None:
    key = KEYS["Anthropic"]
    assert key not in str(NewsClassifierError(f"Cannot reach {key}."))
    settings = {"name": "x", "provider": "openai", "model": "m", "track": "external", "params": {"user": key}}
    with pytest.raises(ConfigError, match="'params' holds what looks like a key") as caught:
        AgentConfig.from_settings(settings, ROOT / "config" / "agents" / "x.yaml")
    assert key not in str(caught.value)


# Logs.


class Written(logging.Handler):
    """Keeps what it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@pytest.fixture
def log() -> Iterator[Written]:
    """What a redacted handler of the root logger writes."""
    root, handler = logging.getLogger(), Written()
    kept = {known: list(known.filters) for known in root.handlers}
    root.addHandler(handler)
    redact_logs()
    redact_logs()
    yield handler
    root.removeHandler(handler)
    for known, filters in kept.items():
        known.filters = filters


def test_logs_lose_keys_in_messages_arguments_and_tracebacks(log: Written) -> None:
    assert [type(known) for known in log.filters] == [RedactingFilter]
    key = KEYS["Databricks"]
    logging.getLogger().error("%s and %d", key, 5)
    try:
        raise ValueError(f"wrong key {key}")
    except ValueError:
        logging.getLogger("some.library").exception("failed with %r", {"key": key})
    assert key not in log.text
    assert f"{REDACTED} and 5" in log.text
    assert f"ValueError: wrong key {REDACTED}" in log.text


def test_a_wrong_log_call_of_a_library_does_not_reach_its_caller(log: Written) -> None:
    logging.getLogger("some.library").error("%d articles", "many")


# Traces.


def test_traces_are_stored_without_keys(store: MlflowClient) -> None:
    key = KEYS["OpenAI"]
    redact_traces()
    redact_traces()
    try:
        with mlflow.start_span("ask") as span:
            span.set_inputs({"text": f"key {key}", "api_key": "hunter2hunter2"})
            span.set_outputs([f"heard {key}"])
            span.set_attribute("note", key)
        mlflow.flush_trace_async_logging()
        trace = mlflow.get_trace(span.trace_id)
    finally:
        mlflow.tracing.reset()
    assert trace
    stored = json.dumps(trace.to_dict(), default=str)
    assert "heard" in stored
    assert key not in stored
    assert "hunter2" not in stored
