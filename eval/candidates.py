"""Which candidate is meant: a file, a provider's default, or any model by its name."""

import re
from collections.abc import Mapping
from pathlib import Path

from agent.config import AgentConfig, Track
from agent.errors import ConfigError
from eval.lifecycle import retirement_of

AGENTS_FOLDER = Path("config/agents")
DEFAULTS: Mapping[str, str] = {
    "openai": "external-openai",
    "anthropic": "external-anthropic",
    "databricks": "internal-databricks",
    "sklearn": "local-sklearn",
}
"""The candidate that stands for a provider, unless a model is named."""
TRACKS: Mapping[str, Track] = {"openai": "external", "anthropic": "external", "databricks": "internal"}
"""The LLM providers, and the track of their models that have no file."""
SHARED = {"labels": "../labels.yaml", "prompt": "../prompts/zero-shot.yaml", "prices": "../prices.yaml"}


def load_candidate(
    agent_file: Path | None = None, provider: str | None = None, model: str | None = None
) -> AgentConfig:
    """One candidate: from its file, or by provider and model, whether or not there is a file for that.

    Raises:
        ConfigError: both were given, a file is wrong, the provider is unknown or the model is retired.
    """
    if agent_file and (provider or model):
        raise ConfigError(f"Both --agent {agent_file} and --provider or --model are given. Give one of them.")
    config = AgentConfig.from_file(agent_file) if agent_file else named_candidate(provider, model)
    retirement_of(config)
    return config


def named_candidate(provider: str | None, model: str | None) -> AgentConfig:
    """The candidate of a provider and a model: its file in `config/agents`, or the shared settings where there is none.

    Args:
        provider: May be left out where a file names the model.
        model: The provider's default without.
    """
    if provider is not None and provider not in DEFAULTS:
        raise ConfigError(f"Unknown provider {provider!r}. Available: {', '.join(sorted(DEFAULTS))}.")
    if model is None:
        return AgentConfig.from_file(AGENTS_FOLDER / f"{DEFAULTS[provider or 'sklearn']}.yaml")
    known = [config for config in all_candidates() if config.model == model]
    found = [config for config in known if provider in (None, config.provider)]
    if found:
        return found[0]
    if known:
        raise ConfigError(f"{model!r} is a model of {known[0].provider!r} ({known[0].name}), not of {provider!r}.")
    if provider is None or provider not in TRACKS:
        names = ", ".join(sorted(TRACKS))
        raise ConfigError(f"No file in {AGENTS_FOLDER} has the model {model!r}. Say whose it is: --provider, {names}.")
    name = re.sub(r"[^a-z0-9]+", "-", f"{TRACKS[provider]}-{model}".lower()).strip("-")[:63]
    settings = {"name": name, "provider": provider, "model": model, "track": TRACKS[provider], **SHARED}
    return AgentConfig.from_settings(settings, AGENTS_FOLDER / f"{name}.yaml")


def all_candidates(track: Track | None = None) -> list[AgentConfig]:
    """The candidates that have a file, of one track or of all, each track's default first."""
    configs = [AgentConfig.from_file(path) for path in sorted(AGENTS_FOLDER.glob("*.yaml"))]
    chosen = [config for config in configs if track in (None, config.track)]
    return sorted(chosen, key=lambda config: (config.track, config.name not in DEFAULTS.values(), config.name))
