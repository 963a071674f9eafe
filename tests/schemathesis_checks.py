"""What schemathesis is told of this server beyond its description; loaded by schemathesis, in its own environment."""

import json

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection

NDJSON = "application/x-ndjson"
TOO_LARGE = 413
ARTICLES = st.fixed_dictionaries(
    {"title": st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)},
    optional={"content": st.text(st.characters(codec="utf-8"), max_size=50), "id": st.integers() | st.text(max_size=9)},
)


@schemathesis.check
def invalid_is_refused_or_named(ctx, response, case):  # type: ignore[no-untyped-def]
    """What does not fit is refused; an entry that is no article may have an error of its own in the answer instead."""
    if response.status_code == TOO_LARGE or b'"invalid_article"' in response.content:
        return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.serializer(NDJSON)
def lines(ctx, value):  # type: ignore[no-untyped-def]
    """Lines are sent as they are."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


schemathesis.openapi.media_type(
    NDJSON, st.lists(ARTICLES.map(json.dumps), max_size=5).map(lambda found: "\n".join(found).encode())
)
