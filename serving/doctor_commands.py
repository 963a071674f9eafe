"""`news-classifier doctor` and `news-classifier models`: looking around before spending anything."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from agent.config import AgentConfig
from agent.errors import ConfigError, ProviderError
from agent.redaction import redact
from eval.candidates import TRACKS, all_candidates, named_candidate
from eval.commands import none_if_empty
from eval.console import err, json_option, out, print_json
from eval.lifecycle import Retirement, read_lifecycle
from serving.doctor import Finding, end_of_life, examine, worst
from serving.services import Service, Services

agent_option = click.option("--agent", "agent_file", type=click.Path(path_type=Path), help="The candidate's file.")


@click.command("doctor")
@agent_option
@click.option("--provider", callback=none_if_empty, help="Instead of --agent: the provider's default candidate.")
@click.option("--model", callback=none_if_empty, help="Instead of --agent: any model, with or without a file.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, agent_file: Path | None, provider: str | None, model: str | None, as_json: bool) -> None:
    """Check keys, endpoints, models, prices, the store and the registry; for one candidate, or for all.

    Exit codes: 0 nothing failed; 1 something did; 2 wrong input.
    """
    named = bool(agent_file or provider or model)
    configs = [chosen_candidate(agent_file, provider, model)] if named else all_candidates()
    findings = examine(configs, named=named)
    if as_json:
        print_json({"status": worst(findings), "checks": [finding._asdict() for finding in findings]})
    else:
        for line in finding_lines(findings):
            out.print(line, soft_wrap=True)
    ctx.exit(1 if worst(findings) == "fail" else 0)


@click.command("models")
@agent_option
@click.option("--provider", callback=none_if_empty, help="Instead of --agent: the provider's endpoint.")
@json_option
def models(agent_file: Path | None, provider: str | None, as_json: bool) -> None:
    """List the models that an endpoint offers, or those of every provider whose key is there.

    Marked are models that have a candidate's file, and those near or past their end of life.
    """
    if agent_file or provider:
        services = [Services(named=True).of(chosen_candidate(agent_file, provider, None))]
        if services[0].address is None:
            raise ConfigError(services[0].problem)
    else:
        services = services_with_key()
    offered: defaultdict[str, set[str]] = defaultdict(set)
    for service in services:
        offered[service.provider].update(service.models or ())
    listed = {service.provider for service in services if service.models is not None}
    if as_json:
        print_json({name: sorted(offered[name]) for name in sorted(listed)})
    else:
        show_models(services)
    for service in services:
        if service.models is None:
            raise ProviderError(service.problem)


def chosen_candidate(agent_file: Path | None, provider: str | None, model: str | None) -> AgentConfig:
    """The candidate that was asked for, even if its model is gone. Raises ConfigError where its file is wrong."""
    if agent_file and (provider or model):
        raise click.UsageError("Give either --agent, or --provider and --model.")
    return AgentConfig.from_file(agent_file) if agent_file else named_candidate(provider, model)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, aligned."""
    width = max(len(finding.check) for finding in findings)
    return [f"{finding.status:<4}  {finding.check:<{width}}  {finding.detail}" for finding in findings]


def services_with_key() -> list[Service]:
    """The endpoints of all candidates whose provider has a key. Raises ConfigError where none has."""
    services = Services(named=False)
    for config in all_candidates():
        if config.provider in TRACKS:
            services.of(config)
    without = [service for service in services.all() if service.address is None]
    if len(without) == len(services.all()):
        raise ConfigError(f"No provider has a key. {' '.join(service.problem for service in without)}")
    for service in without:
        err.print(f"Left out: {service.provider}. {service.problem}", soft_wrap=True)
    return [service for service in services.all() if service.address]


def show_models(services: Sequence[Service]) -> None:
    """Print each endpoint's models, one name a line with its marks behind it."""
    files, lifecycle = candidates_by_model(), read_lifecycle()
    for service in services:
        if service.models is None:
            continue
        title = f"{service.provider}, {service.address}: {len(service.models):,} models"
        err.print(redact(title), soft_wrap=True)
        width = max(map(len, service.models), default=0)
        for name in service.models:
            retirement = lifecycle.of(service.provider, name) if lifecycle else None
            marks = model_marks(name, files.get((service.provider, name), ()), retirement)
            out.print(redact(f"{name:<{width}}  {'; '.join(marks)}".rstrip()), soft_wrap=True)


def candidates_by_model() -> Mapping[tuple[str, str], list[str]]:
    """Names of the candidates that have a file, by provider and model."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for config in all_candidates():
        found[config.provider, config.model].append(config.name)
    return found


def model_marks(model: str, candidates: Sequence[str], retirement: Retirement | None) -> list[str]:
    """What is worth knowing about a model: its candidates, and its end if that is near or past."""
    marks = [f"candidate {', '.join(candidates)}"] if candidates else []
    if retirement and (end := end_of_life(model, retirement)).status != "ok":
        marks.append(end.detail)
    return marks
