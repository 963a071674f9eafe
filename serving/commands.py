"""`news-classifier serve`: the champion, exposed."""

import click

from eval.console import Group


@click.group(
    "serve",
    cls=Group,
    lazy={
        "app": "serving.app.commands:app",
        "databricks": "serving.databricks.commands:databricks",
        "docker": "serving.docker.commands:docker",
        "key": "serving.app.control_commands:key",
        "local": "serving.local:local",
        "log": "serving.predictions.log_command:log_command",
        "queue": "serving.predictions.queue_command:queue_command",
        "smoke": "serving.smoke_commands:smoke_command",
        "traffic": "serving.app.control_commands:traffic",
    },
)
def commands() -> None:
    """Expose the champion."""
