"""`news-classifier registry review` and `promote`."""

import sys

import click
from mlflow.tracking import MlflowClient

from eval.console import err, json_option, print_json, print_lines
from eval.store import open_store
from registry.commands import asked_reason, said_yes
from registry.gates.config import GatesConfig
from registry.measurements import Remeasure
from registry.moves import user
from registry.options import approver_option, evidence_options, reason_option
from registry.promotion import Consent, NoChallenger, Promoter, Refused, Review
from registry.review_page import approval_lines, chosen_line, moved_lines, review_json, review_steps
from registry.tag_approval import approved_by_tag, request_approval

if_any_option = click.option("--if-any", is_flag=True, help="Where there is no challenger, that is no failure.")


@click.command("review")
@if_any_option
@click.option("--for-tag", metavar="TASK", help="Ask for approval by a tag of the version, named after this task.")
@evidence_options
@json_option
@click.pass_context
def review_command(
    ctx: click.Context, if_any: bool, for_tag: str | None, as_json: bool, rules: GatesConfig, remeasure: Remeasure
) -> None:
    """Show what a promotion would do, and the hash by which exactly that is approved."""
    open_store()
    promoter = Promoter(MlflowClient(), rules, remeasure)
    review = reviewed(promoter, ctx, if_any)
    if for_tag:
        request_approval(review, for_tag, MlflowClient())
    if as_json:
        print_json(review_json(review))
        return
    print_lines((*review_steps(review), *approval_lines(review, for_tag)))


@click.command("promote")
@click.option("--approve", metavar="HASH", help="Approve exactly what 'registry review' showed under this hash.")
@approver_option
@reason_option
@click.option("--approved-by-tag", metavar="TASK", help="Approve what a person approved by the version's tag TASK.")
@if_any_option
@click.option("--yes", "unattended", is_flag=True, help="Promote without a person, if the evidence suffices.")
@evidence_options
@json_option
@click.pass_context
def promote_command(
    ctx: click.Context,
    approve: str | None,
    approver: str | None,
    reason: str | None,
    approved_by_tag: str | None,
    if_any: bool,
    unattended: bool,
    as_json: bool,
    rules: GatesConfig,
    remeasure: Remeasure,
) -> None:
    """Make the challenger champion, if a person approves or the evidence suffices.

    Exit codes: 0 promoted, or nobody to promote and --if-any; 1 refused; 2 wrong input; 3 it could not be done.
    """
    if sum((approve is not None, approved_by_tag is not None, unattended)) > 1:
        raise click.UsageError("Give one of --approve, --approved-by-tag and --yes.")
    if approve is not None and not (approver and reason):
        raise click.UsageError("--approve needs --approver NAME and --reason TEXT.")
    open_store()
    promoter = Promoter(MlflowClient(), rules, remeasure)
    review = reviewed(promoter, ctx, if_any)
    if not as_json:
        print_lines(review_steps(review))
    consent = consent_to(review, approve, approver, reason, approved_by_tag, unattended)
    if consent is None:
        promoter.refuse(review, Consent(approver or user(), "terminal", reason or "answered no"))
        err.print("[4/5] Refused; nothing was changed, and the history says so.")
        ctx.exit(1)
    entry = promoter.promote(review, consent)
    if as_json:
        print_json({"promoted": review.challenger, "entry": entry.model_dump(mode="json"), "hash": entry.hash})
    else:
        print_lines(moved_lines(review, consent))


def reviewed(promoter: Promoter, ctx: click.Context, if_any: bool) -> Review:
    """What would be approved; where there is no challenger and none is needed, the command ends well."""
    try:
        return promoter.review()
    except NoChallenger as nobody:
        if not if_any:
            raise
        err.print(str(nobody), soft_wrap=True)
        ctx.exit(0)


def consent_to(
    review: Review,
    approve: str | None,
    approver: str | None,
    reason: str | None,
    task: str | None,
    unattended: bool,
) -> Consent | None:
    """Who approves, and how; None where the person at the terminal says no.

    Raises:
        Refused: nobody may, or what is approved is something else.
    """
    if approve is not None:
        if approve != review.hash:
            raise Refused(
                f"What was approved ({approve[:12]}) is not what would be promoted now ({review.hash[:12]}). "
                "Look again: news-classifier registry review."
            )
        return Consent(approver or "", "hash", reason or "")
    if task is not None:
        return approved_by_tag(review, task, approver, reason, MlflowClient())
    if unattended:
        if not review.sufficient.passed:
            raise Refused(
                f"The evidence does not suffice without a person: {review.sufficient.reason}. "
                "Look at it: news-classifier registry review."
            )
        why = f"{reason or review.sufficient.reason}; {chosen_line(review)}"
        return Consent(approver or user(), "unattended", why)
    if not sys.stdin.isatty():
        raise Refused(
            "There is no terminal to ask on. Approve what 'news-classifier registry review' shows: "
            "news-classifier registry promote --approve HASH --approver NAME --reason TEXT."
        )
    if not said_yes("[4/5] Proceed?"):
        return None
    return Consent(approver or user(), "terminal", reason or asked_reason())
