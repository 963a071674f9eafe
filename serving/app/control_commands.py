"""`news-classifier serve traffic` and `serve key`: what is done to a server from beside it."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import click

from agent.errors import ConfigError, ServiceError
from eval.console import json_option, out, path_option, print_json
from serving.app.commands import STATE
from serving.app.control import CONTROL_FILE, CONTROL_PATH, TOKEN_HEADER
from serving.app.keys import make_key

TIMEOUT_S = 180
"""A challenger is loaded before the answer comes."""


@click.command("traffic")
@click.option("--challenger", type=click.IntRange(0, 100), metavar="PERCENT", help="Articles that it answers.")
@click.option("--shadow", type=click.IntRange(0, 100), metavar="PERCENT", help="Articles that it is asked about too.")
@click.option("--on", "target", type=click.Choice(["local", "databricks"]), default="local", show_default=True)
@path_option("--state", "state", STATE, "Folder of the local server.")
@json_option
@click.pass_context
def traffic(
    context: click.Context, challenger: int | None, shadow: int | None, target: str, state: Path, as_json: bool
) -> None:
    """Show or change which share of the articles the challenger answers, or is asked about in the shadow."""
    if target == "databricks":
        if shadow is not None or challenger is None:
            raise click.UsageError("On Databricks give --challenger PERCENT; its endpoints have no shadow.")
        from serving.databricks.commands import databricks  # takes MLflow along

        context.invoke(databricks, percent=challenger, as_json=as_json)
        return
    shares = ask(state, None)
    changed = {
        name: percent
        for name, percent in (("challenger_percent", challenger), ("shadow_percent", shadow))
        if percent is not None
    }
    if changed:
        kept = {name: shares[name] for name in ("challenger_percent", "shadow_percent")}
        shares = ask(state, {**kept, **changed})
    if as_json:
        print_json(shares)
        return
    out.print(
        f"Challenger {shares['challenger_percent']} %, champion {100 - shares['challenger_percent']} %; "
        f"shadow {shares['shadow_percent']} % of the champion's."
    )
    if shares["halted"]:
        out.print(f"The challenger's share was taken away: {shares['halted']}", soft_wrap=True)


def ask(state: Path, change: dict[str, int] | None) -> dict[str, Any]:
    """The shares of a running server, after a change if there is one.

    Raises:
        ConfigError: no server has run with this state folder.
        ServiceError: it does not answer, or refuses.
    """
    path = state / CONTROL_FILE
    try:
        control = json.loads(path.read_text(encoding="utf-8"))
        url, token = control["url"] + CONTROL_PATH, control["token"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ConfigError(
            f"{path} cannot be read ({type(err).__name__}). Start 'news-classifier serve app', or give its --state."
        ) from err
    body = json.dumps(change).encode() if change else None
    request = Request(url, body, {TOKEN_HEADER: token}, method="PUT" if change else "GET")
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            shares: dict[str, Any] = json.load(answer)
            return shares
    except HTTPError as err:
        raise ServiceError(f"The server at {control['url']} refused: {detail(err)}") from err
    except (URLError, TimeoutError, ValueError) as err:
        reason = getattr(err, "reason", err)
        why = getattr(reason, "strerror", None) or type(reason).__name__
        raise ServiceError(
            f"No server answers at {control['url']}, the address in the state folder {str(state)!r} ({why}). "
            "Start 'news-classifier serve app', or name another server's folder with --state."
        ) from err


def detail(refused: HTTPError) -> str:
    """What the server says; only the status where that is another server by now."""
    try:
        return str(json.load(refused)["detail"])
    except (ValueError, LookupError, TypeError):
        return f"{refused}. Is it another server by now?"


@click.command("key")
@click.argument("name")
@json_option
def key(name: str, as_json: bool) -> None:
    """Make an API key for NAME: shown once, kept by its hash."""
    from serving.app.settings import ApiKey  # checks the name

    secret, digest = make_key()
    entry = ApiKey(name=name, sha256=digest)
    if as_json:
        print_json({"name": entry.name, "key": secret, "sha256": digest})
        return
    out.print(f"The key of {entry.name}, which is shown only now:\n{secret}", soft_wrap=True)
    out.print(f"For config/serving.yaml, below api_keys:\n  - {{name: {entry.name}, sha256: {digest}}}", soft_wrap=True)
