"""`news-classifier registry`: versions, gates, aliases, promotions."""

import sys

import click
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from eval.console import (
    Group,
    err,
    json_option,
    out,
    print_json,
    print_lines,
    print_wide,
)
from eval.plain_text import printable
from eval.runs import whole_evaluation
from eval.store import open_store
from registry.gates.config import GatesConfig
from registry.ledger import Ledger
from registry.measurements import Remeasure
from registry.options import REASON, approval_option, evidence_options
from registry.proposal import Proposal
from registry.register import Approval, register
from registry.registrar import Registration
from registry.render import (
    history_json,
    history_table,
    registration_json,
    registration_lines,
    status_json,
    status_lines,
    status_table,
)
from registry.verify import repair, verify
from registry.versions import Registry

TABLE_WIDTH, HISTORY_WIDTH = 120, 140


@click.group(
    "registry",
    cls=Group,
    lazy={
        "export": "registry.export_commands:export_command",
        "promote": "registry.promote_commands:promote_command",
        "review": "registry.promote_commands:review_command",
        "rollback": "registry.rollback_commands:rollback_command",
    },
)
def commands() -> None:
    """Register evaluated candidates, promote them, roll back, and see who is champion and why."""


@commands.command("register")
@click.argument("run_id", required=False)
@approval_option
@evidence_options
@json_option
@click.pass_context
def register_command(
    ctx: click.Context,
    run_id: str | None,
    require_approval: bool,
    as_json: bool,
    rules: GatesConfig,
    remeasure: Remeasure,
) -> None:
    """Register the candidate of an evaluation (default: the newest) and give it the alias that the gates allow."""
    open_store()
    evaluation = whole_evaluation(run_id)
    registration = register(evaluation, rules, remeasure=remeasure, approve=ask if require_approval else None)
    show(registration, as_json)
    ctx.exit(exit_code(registration))


@commands.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show versions, aliases and figures."""
    registry, ledger = opened()
    snapshot, history = registry.snapshot(), ledger.read()
    if as_json:
        print_json(status_json(registry.name, snapshot, history))
    elif snapshot.versions:
        print_wide(status_table(registry.name, snapshot), TABLE_WIDTH)
        print_lines(status_lines(snapshot, history))
    else:
        out.print(f"{registry.name} has no versions. Make one: news-classifier run.")


@commands.command("history")
@json_option
def history_command(as_json: bool) -> None:
    """Show who decided what, when, why, and on which evidence."""
    registry, ledger = opened()
    history = ledger.read()
    if as_json:
        print_json(history_json(registry.name, history))
    elif history.entries:
        print_wide(history_table(registry.name, history), HISTORY_WIDTH)
    else:
        out.print(f"{registry.name} has no history. It begins with the first registration.")
    for problem in history.problems:
        err.print(printable(f"The history cannot be trusted: {problem}."), soft_wrap=True)


@commands.command("verify")
@click.option("--repair", "mend", is_flag=True, help="Put the aliases back where the history has them.")
@json_option
@click.pass_context
def verify_command(ctx: click.Context, mend: bool, as_json: bool) -> None:
    """Check that aliases, tags, evidence and history agree; exit 1 where something is to be done."""
    open_store()
    client = MlflowClient()
    if mend:
        repair(client)
    findings = verify(client)
    if as_json:
        print_json({"name": registered_model_name(), "findings": [finding._asdict() for finding in findings]})
    else:
        print_lines(f"{finding.problem}. What to do: {finding.remedy}." for finding in findings)
        if not findings:
            out.print(f"{registered_model_name()}: aliases, tags, evidence and history agree.")
    ctx.exit(1 if any(finding.is_wrong for finding in findings) else 0)


def opened() -> tuple[Registry, Ledger]:
    """The registry and its history, in the stores of the environment."""
    open_store()
    client, name = MlflowClient(), registered_model_name()
    return Registry(name, client), Ledger(name, client)


def show(registration: Registration, as_json: bool) -> None:
    """Print what a registration did."""
    name = registered_model_name()
    if as_json:
        print_json(registration_json(name, registration))
    else:
        print_lines(registration_lines(name, registration))


def exit_code(registration: Registration) -> int:
    """0 when an alias was given or an identical version exists, 1 when the gates or a person said no."""
    return 0 if registration.alias or (registration.version is None and registration.proposal.passed) else 1


def ask(proposal: Proposal) -> Approval:
    """Ask the person at the terminal; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        err.print("Approval is required and there is no terminal to ask on: no alias is given.")
        return Approval(approved=False)
    for verdict in proposal.gates:
        err.print(printable(f"{verdict.word}  {verdict.reason}"), soft_wrap=True)
    if proposal.passed:
        return Approval(said_yes(f"Give the alias {proposal.alias!r} ({proposal.reason})?"))
    if not said_yes("A gate failed. Override it and make this version candidate?"):
        return Approval(approved=False)
    return Approval(approved=True, override_reason=asked_reason())


def said_yes(question: str) -> bool:
    """Ask a question whose answer, `yes` or `no`, is typed out: a decision is no slip of a finger."""
    answer: str = click.prompt(
        f"{question} (type yes or no)", type=click.Choice(["yes", "no"]), show_choices=False, err=True
    )
    return answer == "yes"


def asked_reason() -> str:
    """Ask why, until something is written."""
    reason: str = click.prompt("Reason, for the record", type=REASON, err=True)
    return reason
