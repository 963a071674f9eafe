"""`news-classifier serve`: the champion, exposed."""

import click

from eval.console import Group


@click.group(
    "serve",
    cls=Group,
    lazy={
        "app": "serving.app.commands:app",
        "databricks": "serving.databricks.commands:databricks",
        "local": "serving.local:local",
        "smoke": "serving.smoke_commands:smoke_command",
    },
)
def commands() -> None:
    """Expose the champion."""
