"""What schemathesis is told of this server beyond its description; loaded by schemathesis, in its own environment."""

import json

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

TOO_LARGE = 413


@schemathesis.check
def invalid_is_refused_or_named(ctx, response, case):  # type: ignore[no-untyped-def]
    """What does not fit is refused; an entry that is no article may have an error of its own in the answer instead."""
    if response.status_code == TOO_LARGE or b'"invalid_article"' in response.content:
        return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):  # type: ignore[no-untyped-def]
    """A description cannot say that each line of a text is JSON: lines that are none are sent as titles."""
    if not isinstance(value, str):
        return repr(value).encode()
    return "\n".join(line if is_json(line) else json.dumps({"title": line}) for line in value.split("\n")).encode()


def is_json(line: str) -> bool:
    """Whether a line can be sent as it is."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
