"""`python -m registry`."""

from registry.commands import commands

commands()
