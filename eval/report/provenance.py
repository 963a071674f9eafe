"""What was run, with what, and what it used."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

from agent.config import AgentConfig
from agent.redaction import redact_value
from eval.evaluation import EvaluationRecord
from eval.report.formats import money, number

COUNTS = {
    "calls": "calls",
    "unanswered_calls": "never answered",
    "input_tokens": "input tokens",
    "cached_input_tokens": "of them cached",
    "output_tokens": "output tokens",
}
COSTS = {"cost_usd": "cost", "cost_usd_per_1k": "per 1,000 articles", "cost_usd_per_million": "per million articles"}


class Fact(NamedTuple):
    """A name and what stands behind it."""

    name: str
    value: str


def cost_facts(record: EvaluationRecord) -> Iterable[Fact]:
    """Calls, tokens and money."""
    metrics = record.metrics
    for name, title in COUNTS.items():
        if metrics.get(name):
            yield Fact(title, number(metrics[name]))
    for name, title in COSTS.items():
        yield Fact(title, money(metrics.get(name)))
    if metrics.get("unanswered_calls"):
        yield Fact("cost at most, with unanswered calls", money(metrics.get("cost_usd_at_most")))


def run_facts(record: EvaluationRecord, config: AgentConfig) -> Iterable[Fact]:
    """What was run, on what, when."""
    candidate, dataset = record.candidate, record.dataset
    facts = {
        "candidate": record.agent,
        "model": f"{candidate.provider}:{candidate.model}",
        "track": candidate.track,
        "note": config.note,
        "dataset": dataset.path,
        "rows": f"{dataset.rows:,}",
        "dataset digest": dataset.digest,
        "started": f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "commit": record.git_commit,
        "run": f"{record.run_name} ({record.run_id})",
        "model URI": record.model_uri,
        "asked": None if record.repeats == 1 else f"{record.repeats} times; figures are of the first",
        "calls": f"{record.fresh_calls:,} fresh, {record.cached_calls:,} from the journal",
        "prompt": candidate.prompt_hash and f"{config.prompt.name if config.prompt else ''} {candidate.prompt_hash}",
        "prompt version": candidate.prompt_version,
        "model hash": candidate.model_hash,
        "configuration hash": candidate.config_hash,
        "code hash": candidate.code_hash,
    }
    return (Fact(name, value) for name, value in facts.items() if value)


def prompt_facts(config: AgentConfig) -> Iterable[Fact]:
    """The texts of the prompt, as the model reads them; nothing for a local model."""
    if config.prompt:
        yield Fact("Instructions", config.prompt.instructions(config.labels, config.answer_format))
        yield Fact("Article", config.prompt.user.strip())
        yield Fact("After an answer that could not be read", config.prompt.again.strip())


def configuration(config: AgentConfig) -> str:
    """The candidate as YAML, without its prompt and without secrets."""
    settings = config.to_model_config()
    settings.pop("prompt")
    if config.artifact:
        settings["artifact"] = Path(config.artifact).name
    return yaml.safe_dump(redact_value(settings), sort_keys=False, allow_unicode=True, width=96)
