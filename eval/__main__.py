"""`python -m eval`."""

from eval.commands import commands

commands()
