"""`news-classifier registry rollback`."""

import sys

import click
from mlflow.tracking import MlflowClient

from eval.console import err, json_option, out, print_json
from registry.commands import opened, said_yes
from registry.moves import finish, user
from registry.promotion import Consent, Refused
from registry.rollback import rollback, rollback_target


@click.command("rollback")
@click.option("--to", metavar="VERSION", help="An earlier champion; the last one without.")
@click.option("--approver", metavar="NAME", help="Who decided.")
@click.option("--reason", metavar="TEXT", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def rollback_command(
    ctx: click.Context, to: str | None, approver: str | None, reason: str | None, yes: bool, as_json: bool
) -> None:
    """Make an earlier champion champion again.

    Exit codes: 0 done; 1 refused; 2 wrong input; 3 it could not be done.
    """
    registry, ledger = opened()
    target = rollback_target(registry.snapshot(), finish(registry, ledger), to)
    if not yes:
        if not sys.stdin.isatty():
            raise Refused(f"There is no terminal to ask on. To go back to version {target}, give --yes and --reason.")
        if not said_yes(f"Make version {target} champion again?"):
            err.print("Nothing was changed.")
            ctx.exit(1)
    reason = reason or (click.prompt("Reason, for the record", err=True) if sys.stdin.isatty() else None)
    if reason is None:
        raise click.UsageError("--yes needs --reason TEXT.")
    consent = Consent(approver or user(), "unattended" if yes else "terminal", reason)
    entry = rollback(MlflowClient(), consent, target)
    if as_json:
        print_json({"champion": target, "entry": entry.model_dump(mode="json"), "hash": entry.hash})
    else:
        replaced = entry.before.get("champion")
        out.print(f"champion is version {target} again" + (f", defeated version {replaced}" if replaced else "") + ".")
