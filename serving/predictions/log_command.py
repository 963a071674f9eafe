"""`news-classifier serve log`."""

from pathlib import Path

import click

from eval.console import json_option, out, print_json
from serving.predictions.files import write_predictions
from serving.predictions.options import since_option, state_option
from serving.predictions.store import read_predictions


@click.command("log")
@state_option
@since_option
@click.option(
    "--out", "target", type=click.Path(path_type=Path), required=True, help="A .parquet, .csv or .jsonl file."
)
@json_option
def log_command(folder: Path, since: float | None, target: Path, as_json: bool) -> None:
    """Write what the server answered to one file, for other tools."""
    count = write_predictions(target, read_predictions(folder, since))
    if as_json:
        print_json({"file": str(target), "predictions": count})
    else:
        out.print(f"{count:,} predictions written to {target}.", soft_wrap=True)
