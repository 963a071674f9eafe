"""`news-classifier registry`: versions, gates and aliases."""

import sys
from pathlib import Path

import click
from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.settings import read_settings
from eval.console import Group, err, json_option, out, path_option, print_json, print_wide
from eval.runs import whole_evaluation
from eval.store import open_store
from registry.gates.config import GatesConfig
from registry.register import Approval, Proposal, Registration, register
from registry.render import registration_json, registration_lines, status_json, status_reasons, status_table
from registry.versions import Registry

TABLE_WIDTH = 100
GATES_FILE = Path("config/gates.yaml")
gates_option = path_option("--gates", "gates_file", GATES_FILE, "The gates.")
approval_option = click.option("--require-approval", is_flag=True, help="Ask a person before an alias is given.")


@click.group("registry", cls=Group)
def commands() -> None:
    """Register evaluated candidates and see who is champion."""


@commands.command("register")
@click.argument("run_id", required=False)
@gates_option
@approval_option
@json_option
@click.pass_context
def register_command(
    ctx: click.Context, run_id: str | None, gates_file: Path, require_approval: bool, as_json: bool
) -> None:
    """Register the candidate of an evaluation (default: the newest) and give it the alias that the gates allow."""
    gates = read_settings(gates_file, GatesConfig)
    open_store()
    registration = register(whole_evaluation(run_id), gates, approve=ask if require_approval else None)
    show(registration, as_json)
    ctx.exit(exit_code(registration))


@commands.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show versions, aliases and figures."""
    open_store()
    name = registered_model_name()
    snapshot = Registry(name, MlflowClient()).snapshot()
    if as_json:
        print_json(status_json(name, snapshot))
    elif snapshot.versions:
        print_wide(status_table(name, snapshot), TABLE_WIDTH)
        for line in status_reasons(snapshot):
            out.print(line, soft_wrap=True)
        out.print("Tracks: A external, B inside Databricks, C local.")
    else:
        out.print(f"{name} has no versions. Make one: news-classifier run.")


def show(registration: Registration, as_json: bool) -> None:
    """Print what a registration did."""
    name = registered_model_name()
    if as_json:
        print_json(registration_json(name, registration))
    else:
        for line in registration_lines(name, registration):
            out.print(line, soft_wrap=True)


def exit_code(registration: Registration) -> int:
    """0 when an alias was given or an identical version exists, 1 when the gates or a person said no."""
    return 0 if registration.alias or (registration.version is None and registration.proposal.passed) else 1


def ask(proposal: Proposal) -> Approval:
    """Ask the person at the terminal; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        err.print("Approval is required and there is no terminal to ask on: no alias is given.")
        return Approval(approved=False)
    for verdict in proposal.gates:
        err.print(f"{verdict.word}  {verdict.reason}")
    if proposal.passed:
        return Approval(_yes(f"Give the alias {proposal.alias!r} ({proposal.reason})?"))
    if not _yes("A gate failed. Override it and make this version candidate?"):
        return Approval(approved=False)
    return Approval(approved=True, override_reason=click.prompt("Reason, for the record", err=True))


def _yes(question: str) -> bool:
    answer: str = click.prompt(f"{question} (yes/no)", type=click.Choice(["yes", "no"]), show_choices=False, err=True)
    return answer == "yes"
