"""Tags of a run: those that say how an evaluation ended, and those of one's own."""

import re
from collections.abc import Mapping

from agent.errors import DataError
from agent.redaction import redact

COMPLETE_TAG = "evaluation_complete"
"""Set as the last thing of an evaluation; only a run where it is `COMPLETE` can be registered."""
COMPLETE, PARTIAL = "true", "partial"
VERSION_TAG = "registered_version"
"""URI of the version that was measured, where a run is of a registered version."""
REDTEAM, MODEL_HASH_TAG = "redteam", "model_hash"
"""The `kind` of a run that measures attacks, and which local model was attacked."""
TAG_NAME = re.compile(r"[A-Za-z0-9_./ -]{1,250}")
OWN_TAGS = frozenset({COMPLETE_TAG, VERSION_TAG, MODEL_HASH_TAG, "track", "provider", "model", "git_commit", "kind"})


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of one's own, if MLflow takes their names and they are none of ours. Raises DataError otherwise."""
    for name in tags:
        if not TAG_NAME.fullmatch(name) or name.startswith("mlflow.") or name in OWN_TAGS:
            raise DataError(
                f"The tag {name!r} cannot be set; allowed: up to 250 letters, digits, '_', '-', '.', ' ' and '/', "
                f"none of {', '.join(sorted(OWN_TAGS))}, and not starting with 'mlflow.'. Choose another name."
            )
    return {name: redact(value) for name, value in tags.items()}
