"""What the commands that read the prediction log have in common."""

import time
from datetime import UTC, datetime

import click

from eval.console import path_option
from serving.app.commands import STATE

UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def parse_moment(ctx: click.Context, option: click.Parameter, given: str | None) -> float | None:
    """Seconds since 1970 of `7d`, `12h` or `30m` ago, or of a date or time, which is UTC unless it has a zone."""
    if given is None:
        return None
    number, unit = given[:-1], given[-1:]
    try:
        if unit in UNITS_S and number.isdecimal():
            return max(0.0, time.time() - int(number) * UNITS_S[unit])
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as err:
        raise click.BadParameter(f"{given!r} is no moment. Give 7d, 12h, 30m, 2026-11-01 or 2026-11-01T08:30.") from err


state_option = path_option("--state", "folder", STATE, "The server's state folder.")
since_option = click.option(
    "--since",
    callback=parse_moment,
    metavar="WHEN",
    help="From then on: 7d, 12h, 2026-11-01. The whole log unless given.",
)
