"""`python -m serving.app`: the server alone, for an image that holds nothing else."""

import sys

import click

from agent.errors import NewsClassifierError
from serving.app.commands import app

if __name__ == "__main__":
    try:
        app()
    except NewsClassifierError as err:
        click.echo(f"Error: {err}", err=True)
        sys.exit(err.exit_code)
