"""Takes secrets out of whatever is written: logs, traces, errors, artifacts.

Two nets. Values of environment variables whose names say that they are secret, wherever they appear; and whatever looks
like a key, so that one that was never in this environment (quoted by a provider, pasted into an article) stays in too.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"(key|token|secret|password|passwd|credentials|authorization)$", re.IGNORECASE)
"""Names of variables and fields that hold secrets; `max_tokens` is none."""
SECRET_ADDRESSES = "NEWS_CLASSIFIER_NOTIFY_URLS"
"""A variable that holds several, with spaces between."""
SHORTEST_SECRET = 8
LOGGERS = ("", "mlflow", "uvicorn", "uvicorn.access")
KEPT_BY_SPANS = ("mlflow.spanInputs", "mlflow.spanOutputs")
SECRET_LIKE = re.compile(
    r"""
    (?<=://)(?:[^/\s:@"'<>]{0,100}:(?!\d+/)[^\s"'<>]{0,200}|[^/\s@]+)(?=@)  # user and password in an address
    | (?:(?<=[?&]key=)|(?<=api_key=)|(?<=api-key=)|(?<=token=)|(?<=password=))[^&\s"'\#]{8,}  # a key in its query
    | (?:\b|(?<=\\[nrt]))sk-[A-Za-z0-9_-]{12,}      # OpenAI, Anthropic, LiteLLM; \n may be spelt out before any of them
    | (?:\b|(?<=\\[nrt]))(?:dapi[0-9a-f]{16,}(-\d+)?|dose[0-9a-f]{16,})  # Databricks: personal token, OAuth secret
    | (?:(?<![\w-])|(?<=\\[nrt]))eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*  # JSON web token
    | (?<=basic\s)(?=[A-Za-z]*[0-9+/=])[A-Za-z0-9+/=]{12,}  # a header
    | (?<=bearer\s)[A-Za-z0-9._~+/=-]{12,}           # a header
    """,
    re.VERBOSE | re.IGNORECASE,
)
MARKS = ("://", "key=", "token=", "password=", "sk-", "dapi", "dose", "eyj", "basic", "bearer")
"""One of these is in whatever looks like a secret. Looking for them takes a twentieth of the time."""


def redact(text: str, secrets: Sequence[str] | None = None) -> str:
    """The text with every secret in it replaced.

    Args:
        text: What is to be written.
        secrets: The environment's, for who redacts many texts at once; looked up unless given.
    """
    return without(secret_values() if secrets is None else secrets, text)


def without(secrets: Sequence[str], text: str) -> str:
    """The text without these secrets and whatever looks like one."""
    for value in secrets:
        text = text.replace(value, REDACTED)
    folded = text.casefold()
    return SECRET_LIKE.sub(REDACTED, text) if any(mark in folded for mark in MARKS) else text


def secret_values() -> list[str]:
    """Values of the environment's secrets, longest first."""
    named = [os.environ[name].strip() for name in os.environ if names_secret(name)]
    named += os.environ.get(SECRET_ADDRESSES, "").split()
    found = {value for value in named if len(value) >= SHORTEST_SECRET and value not in REDACTED}
    return sorted(found, key=len, reverse=True)


def holds_secret(value: Any) -> bool:
    """Whether there is a secret in a text, or in JSON-like data."""
    return bool(redact_value(value) != value)


def redact_value(value: Any, secrets: Sequence[str] | None = None) -> Any:
    """JSON-like data with every secret in it replaced; what stands under `api_key`, `authorization`, ... goes whole.

    Args:
        value: What is to be written.
        secrets: As `redact` takes them.
    """
    return _redact_value(secret_values() if secrets is None else secrets, value)


def _redact_value(secrets: Sequence[str], value: Any) -> Any:
    if isinstance(value, str):
        return without(secrets, value)
    if isinstance(value, Mapping):
        return {
            _redact_value(secrets, key): REDACTED if is_secret(key, inner) else _redact_value(secrets, inner)
            for key, inner in value.items()
        }
    if type(value) not in (list, tuple):
        return value
    if len(value) == 2 and is_secret(*value):  # a header among the items of headers
        return type(value)((value[0], REDACTED))
    return type(value)(_redact_value(secrets, inner) for inner in value)


def is_secret(name: object, value: object) -> bool:
    """Whether a field holds a secret, by its name: `x-api-key` does, `max_tokens` does not."""
    return isinstance(value, str) and isinstance(name, str) and names_secret(name)


@lru_cache(maxsize=1024)
def names_secret(name: str) -> bool:
    """Whether a variable or field of this name holds a secret. The same few names come with every text."""
    return bool(SECRET_NAME.search(name))


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records, arguments and exceptions included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; every record passes."""
        if record.name == "uvicorn.access":  # its formatter needs the arguments
            record.args = redact_value(record.args)
            return True
        try:
            message = record.getMessage()
        except Exception:  # a wrong call of a library; logging guards its caller against that only later
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact(message), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


def redact_logs() -> None:
    """Redact everything that the handlers of the root logger and of MLflow's write. Doing it twice changes nothing."""
    handlers = [handler for name in LOGGERS for handler in logging.getLogger(name).handlers]
    for handler in [*handlers, *filter(None, [logging.lastResort])]:
        if not any(isinstance(known, RedactingFilter) for known in handler.filters):
            handler.addFilter(RedactingFilter())


def redact_traces() -> None:
    """Redact every MLflow span of this process before it is stored, after whatever its owner does with it."""
    import mlflow  # most of what imports this module can do without
    from mlflow.tracing.config import get_config

    others = [known for known in get_config().span_processors if known.__name__ != redact_span.__name__]
    mlflow.tracing.configure(span_processors=[*others, redact_span])


def redact_span(span: Any) -> None:
    """Take secrets out of one MLflow span before it is stored: inputs, outputs and attributes."""
    if span.inputs is not None:
        span.set_inputs(redact_value(span.inputs))
    if span.outputs is not None:
        span.set_outputs(redact_value(span.outputs))
    for name, value in (span.attributes or {}).items():
        if name not in KEPT_BY_SPANS and (clean := redact_value({name: value})[name]) != value:
            span.set_attribute(name, clean)
    redact_events(span._span)


def redact_events(span: Any) -> None:
    """Take secrets out of the events of a span, exceptions among them, and out of its status; neither has a setter."""
    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import Status

    events = [Event(event.name, redact_value(dict(event.attributes or {})), event.timestamp) for event in span._events]
    span._events = type(span._events).from_seq(span._limits.max_events, events)
    if span.status.description:
        span._status = Status(span.status.status_code, redact(span.status.description))
