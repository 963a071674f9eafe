"""The candidates that can be asked here and now."""

from collections.abc import Callable, Iterator

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.providers import create_provider
from eval.candidates import all_candidates
from eval.lifecycle import retirement_of

LeftOut = Callable[[str, str], None]
"""Told the name of a candidate and why it cannot be asked."""


def runnable_candidates(fetch_key: Callable[[str], None] | None, left_out: LeftOut) -> Iterator[AgentConfig]:
    """The candidates that have a file, a key and a model that still lives.

    Args:
        fetch_key: Gets the key of a provider from elsewhere; what it raises ends everything.
        left_out: Told about the others.
    """
    reasons: dict[str, str | None] = {}
    for config in all_candidates():
        if config.provider not in reasons:
            if fetch_key:
                fetch_key(config.provider)
            reasons[config.provider] = missing_key(config)
        retirement = retirement_of(config)
        reason = reasons[config.provider]
        if retirement and retirement.days_left() <= 0:
            reason = f"{config.model} was retired on {retirement.retires}."
        if reason:
            left_out(config.name, reason)
        else:
            yield config


def missing_key(config: AgentConfig) -> str | None:
    """What the environment lacks for a provider; None when nothing."""
    if config.artifact:
        return None
    try:
        create_provider(config, None).open()
    except ConfigError as error:
        return str(error)
    return None
