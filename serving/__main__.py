"""`python -m serving`."""

from serving.commands import commands

commands()
