"""`python -m training`."""

from training.commands import commands

commands()
