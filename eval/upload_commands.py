"""`news-classifier eval upload`."""

from pathlib import Path

import click

from eval.console import err, json_option, print_json
from eval.uploads import upload


@click.command("upload")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def upload_command(folder: Path, as_json: bool) -> None:
    """Log an evaluation that is in FOLDER because MLflow could not be reached."""
    record = upload(folder)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    err.print(f"Run {record.run_id} holds predictions, figures and the model {record.model_uri}.", soft_wrap=True)
    err.print(f"Next: news-classifier registry register {record.run_id}")
