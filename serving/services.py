"""The endpoints of LLM candidates as they are found: opened and asked for their models once each, in a hurry."""

import time
from http import HTTPStatus
from typing import NamedTuple

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.failures import CallFailed
from agent.providers import create_provider
from agent.providers.llm import LLMProvider
from agent.redaction import redact
from agent.transport import Timeouts, Unanswered
from eval.candidates import TRACKS

ENDPOINT_TIMEOUT_S = 15.0


class Service(NamedTuple):
    """One endpoint, and what asking it for its models brought."""

    provider: str
    address: str | None = None
    """None where the environment lacks a key or an address."""
    models: tuple[str, ...] | None = None
    """None where it did not list them."""
    latency_ms: float = 0.0
    problem: str = ""
    """Why there is no address, or no list."""
    lists_none: bool = False
    """Whether it answered, only not to the question for its models, as some servers of OpenAI's wire do."""
    named: bool = True
    """Whether a candidate of it was asked for."""


class Services:
    """Opens and asks every endpoint once, however many candidates share it.

    Args:
        named: Whether its candidates were asked for.
    """

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._by_setting: dict[tuple[str, str | None], Service] = {}
        self._by_address: dict[tuple[str, str | None], Service] = {}

    def of(self, config: AgentConfig) -> Service:
        """The endpoint of a candidate. Raises ConfigError where the candidate's file is wrong."""
        provider, setting = llm_provider(config), (config.provider, config.base_url)
        if setting not in self._by_setting:
            opened = open_service(config.provider, provider)._replace(named=self._named)
            place = (opened.provider, opened.address)
            if place not in self._by_address:
                self._by_address[place] = ask(opened, provider) if opened.address else opened
            self._by_setting[setting] = self._by_address[place]
        return self._by_setting[setting]

    def all(self) -> list[Service]:
        """The endpoints of the candidates so far."""
        return list(self._by_address.values())


def llm_provider(config: AgentConfig) -> LLMProvider:
    """A candidate's provider, in a hurry. Raises ConfigError where it has no endpoint or its file is wrong."""
    waits, most_s = config.timeouts, ENDPOINT_TIMEOUT_S
    brief = Timeouts(connect_s=min(waits.connect_s, most_s), read_s=min(waits.read_s, most_s))
    if config.provider in TRACKS:
        provider = create_provider(config.model_copy(update={"timeouts": brief}), config.artifact)
        if isinstance(provider, LLMProvider):
            return provider
    raise ConfigError(f"Provider {config.provider!r} has no endpoint. Choose one of: {', '.join(sorted(TRACKS))}.")


def open_service(name: str, provider: LLMProvider) -> Service:
    """The endpoint's address, or what the environment lacks."""
    try:
        return Service(name, address=provider.open().base_url)
    except ConfigError as err:
        return Service(name, problem=redact(str(err)))


def ask(service: Service, provider: LLMProvider) -> Service:
    """Ask for the list of models and take the time."""
    started = time.perf_counter()
    try:
        models = tuple(provider.list_models())
    except Exception as err:  # signing a request can fail in ways of an SDK's own
        network = isinstance(err.__cause__, Unanswered)
        remedy = " Check the address, the network and the proxy." if network else ""
        lists_none = isinstance(err.__cause__, CallFailed) and err.__cause__.status == HTTPStatus.NOT_FOUND
        problem = redact(f"{str(err).rstrip('.')}.{remedy}")
        return service._replace(problem=problem, lists_none=lists_none)
    return service._replace(models=models, latency_ms=(time.perf_counter() - started) * 1000)
