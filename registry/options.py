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
from registry.remeasuring import remeasuring

GATES_FILE = Path("config/gates.yaml")
gates_option = path_option("--gates", "gates_file", GATES_FILE, "The gates.")
approval_option = click.option("--require-approval", is_flag=True, help="Ask a person before an alias is given.")


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
