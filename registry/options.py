"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from agent.budget import Budget
from agent.settings import read_settings
from eval.console import Command, map_option, parse_pairs, path_option
from registry.gates.config import GatesConfig
from registry.history import REASON_CHARS
from registry.remeasuring import remeasuring

NAME_CHARS = 200
GATES_FILE = Path("config/gates.yaml")
gates_option = path_option("--gates", "gates_file", GATES_FILE, "The gates.")
approval_option = click.option("--require-approval", is_flag=True, help="Ask a person before an alias is given.")


class Words(click.ParamType[str]):
    """What a person writes for the record: something, not too long, and text.

    Args:
        most: Characters that it may have.
    """

    name = "text"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The words without space around them."""
        words = value.strip()
        if not words:
            self.fail("nothing is written there.", param, ctx)
        if len(words) > self._most:
            self.fail(f"{len(words):,} characters, {self._most:,} are allowed.", param, ctx)
        if any("\ud800" <= character <= "\udfff" for character in words):
            self.fail(f"{words!r} is no text in UTF-8.", param, ctx)
        return words


REASON = Words(REASON_CHARS)
approver_option = click.option("--approver", metavar="NAME", type=Words(NAME_CHARS), help="Who decided.")
reason_option = click.option("--reason", metavar="TEXT", type=REASON, help="Why, for the record.")


def evidence_options(command: Command) -> Command:
    """The gates, and how a version is measured again; given to the command as `rules` and `remeasure`."""

    @gates_option
    @click.option(
        "--data",
        "data_file",
        type=click.Path(path_type=Path),
        help="The labelled set, if it is not where it was and the champion must be measured on it again.",
    )
    @map_option
    @click.option(
        "--max-usd", type=click.FloatRange(0, min_open=True), help="What measuring a version again may cost, in USD."
    )
    @wraps(command)
    def gathered(
        gates_file: Path, data_file: Path | None, columns: tuple[str, ...], max_usd: float | None, **given: Any
    ) -> object:
        budget = Budget(max_usd) if max_usd else None
        given["rules"] = read_settings(gates_file, GatesConfig)
        given["remeasure"] = remeasuring(data_file, parse_pairs("--map", columns), budget)
        return cast(Callable[..., object], command)(**given)

    return cast(Command, gathered)
