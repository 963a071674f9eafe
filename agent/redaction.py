"""Takes secrets out of whatever is written: logs, traces, errors, artifacts.

Two nets. Values of environment variables whose names say that they are secret, wherever they appear; and whatever looks
like a key, so that one that was never in this environment (quoted by a provider, pasted into an article) stays in too.
"""

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"(key|token|secret|password|passwd|credentials|authorization)$", re.IGNORECASE)
"""Names of variables and fields that hold secrets; `max_tokens` is none."""
SHORTEST_SECRET = 8
SECRET_LIKE = re.compile(
    r"""
    (?<=://)[^/\s@]+(?=@)                           # user and password in an address
    | \bsk-[A-Za-z0-9_-]{12,}                        # OpenAI, Anthropic, LiteLLM
    | \bdapi[0-9a-f]{16,}(-\d+)? | \bdose[0-9a-f]{16,}  # Databricks: personal token, OAuth secret
    | (?<![\w-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*  # JSON web token
    | (?<=bearer\s)[A-Za-z0-9._~+/=-]{12,}           # a header
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with every secret in it replaced."""
    for value in secret_values():
        text = text.replace(value, REDACTED)
    return SECRET_LIKE.sub(REDACTED, text)


def secret_values() -> list[str]:
    """Values of the environment's secrets, longest first."""
    named = (value.strip() for name, value in os.environ.items() if SECRET_NAME.search(name))
    found = {value for value in named if len(value) >= SHORTEST_SECRET and value not in REDACTED}
    return sorted(found, key=len, reverse=True)


def holds_secret(text: str) -> bool:
    """Whether there is a secret in the text."""
    return redact(text) != text


def redact_value(value: Any) -> Any:
    """JSON-like data with every secret in it replaced; what stands under `api_key`, `authorization`, ... goes whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: REDACTED if is_secret(key, inner) else redact_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(redact_value, value)) if type(value) in (list, tuple) else value
    return value


def is_secret(name: object, value: object) -> bool:
    """Whether a field holds a secret, by its name: `x-api-key` does, `max_tokens` does not."""
    return isinstance(value, str) and isinstance(name, str) and bool(SECRET_NAME.search(name))


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records, arguments and exceptions included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; every record passes."""
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
    for logger in (logging.getLogger(), logging.getLogger("mlflow"), logging.getLogger("uvicorn")):
        for handler in logger.handlers:
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
        if not name.startswith("mlflow.") and (clean := redact_value({name: value})[name]) != value:
            span.set_attribute(name, clean)
