"""Approval by a tag of the version, as Databricks' deployment jobs give it: a tag named after the task says `approved`.

The tag alone does not say what was looked at. So the hash of the review is written beside it when approval is asked
for, an earlier approval is taken away, and what was not reviewed is not promoted.
"""

import re

from mlflow.tracking import MlflowClient

from agent.errors import DataError
from registry.promotion import Consent, Refused, Review
from registry.versions import Registry

APPROVED = "approved"
TASK = re.compile(r"[A-Za-z0-9_]{1,200}")


def request_approval(review: Review, task: str, client: MlflowClient) -> None:
    """Write which review a tag would approve, and withdraw what was approved before. Raises RegistryError."""
    registry = Registry(review.model_name, client)
    if task_tag(task) in tags_of(review, registry):
        registry.delete_tag(review.challenger, task)
    registry.set_tag(review.challenger, review_tag(task), review.hash)


def approved_by_tag(
    review: Review, task: str, approver: str | None, reason: str | None, client: MlflowClient
) -> Consent:
    """The consent that a version's tags give to a review.

    Raises:
        Refused: it is not approved, or something else is.
    """
    tags = tags_of(review, Registry(review.model_name, client))
    said, reviewed = tags.get(task_tag(task)), tags.get(review_tag(task))
    if reviewed is None:
        raise Refused(
            f"Nobody asked for approval by the tag {task!r} of version {review.challenger}. Ask: news-classifier "
            f"registry review --for-tag {task}."
        )
    if (said or "").casefold() != APPROVED:
        raise Refused(
            f"Version {review.challenger} is not approved: its tag {task!r} is {said!r}, {APPROVED!r} is needed."
        )
    if reviewed != review.hash:
        raise Refused(
            f"What was approved by the tag {task!r} ({reviewed[:12]}) is not what would be promoted now "
            f"({review.hash[:12]}). Ask again: news-classifier registry review --for-tag {task}."
        )
    return Consent(approver or f"the tag {task}", "tag", reason or f"approved by the tag {task} in the registry")


def task_tag(task: str) -> str:
    """The tag that approves. Raises DataError for a name that is no tag on every store."""
    if not TASK.fullmatch(task):
        raise DataError(f"The task {task!r} is no name of a tag; allowed: letters, digits and '_', up to 200.")
    return task


def review_tag(task: str) -> str:
    """The tag that says what is approved."""
    return f"{task_tag(task)}_review"


def tags_of(review: Review, registry: Registry) -> dict[str, str]:
    """The tags of the challenger. Raises RegistryError."""
    version = next(one for one in registry.snapshot().versions if one.number == review.challenger)
    return dict(version.tags)
