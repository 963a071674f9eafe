"""Evaluations of LLM candidates: every figure and record beside what the service says it answered and billed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import ConfigError, ProviderError
from eval.candidates import load_candidate
from eval.labeled_set import LabeledSet
from eval.prompts import ALIAS
from eval.runner import evaluate
from tests.eval.conftest import KEY, WRONG_KEY
from tests.llm_server import Behaviour, LLMServer

PROVIDERS = ("openai", "anthropic", "databricks")
QUICK = {"retries": {"first_wait_s": 0.01}, "timeouts": {"read_s": 5.0, "total_s": 20.0}}


def candidate(provider: str, **settings: object) -> AgentConfig:
    config = load_candidate(provider=provider)
    return AgentConfig.model_validate(config.model_dump() | QUICK | settings)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_cost_and_prompt_are_those_of_the_service(
    provider: str, store: MlflowClient, llm: LLMServer, sample_set: LabeledSet
) -> None:
    config = candidate(provider)
    llm.script([Behaviour(status=500), Behaviour(kind="truncated"), Behaviour(cached_share=0.5)])
    record = evaluate(config, sample_set, concurrency=3)
    assert record.metrics["category_accuracy"] == record.metrics["sentiment_accuracy"] == 1.0
    billed = llm.billed(config.model)
    assert record.metrics["calls"] == len(llm.requests) == 12
    assert record.metrics["input_tokens"] == billed.input_tokens
    assert record.metrics["output_tokens"] == billed.output_tokens
    assert record.metrics["cached_input_tokens"] == billed.cached_tokens > 0
    assert config.price
    cached = config.price.cached_input if config.price.cached_input is not None else config.price.input
    dollars = (
        (billed.input_tokens - billed.cached_tokens) * config.price.input
        + billed.cached_tokens * cached
        + billed.output_tokens * config.price.output
    )
    assert record.metrics["cost_usd"] == pytest.approx(dollars / 1_000_000, rel=1e-12)
    run = store.get_run(record.run_id)
    assert config.prompt
    assert run.data.params["prompt_hash"] == run.data.tags["prompt_hash"] == config.prompt.hash
    assert run.data.params["prompt_version"] == "1"
    answers = mlflow.artifacts.load_dict(f"runs:/{record.run_id}/predictions.json")
    assert {(row["answer"]["prompt_version"], row["answer"]["prompt_hash"]) for row in answers} == {
        ("1", config.prompt.hash)
    }


def test_a_prompt_is_registered_once_and_is_part_of_the_model(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet
) -> None:
    first, second = (evaluate(candidate("databricks"), sample_set) for _ in range(2))
    config = candidate("databricks")
    assert config.prompt
    assert first.candidate.hash == second.candidate.hash
    assert [str(found.version) for found in store.search_prompt_versions(config.prompt.name)] == ["1"]
    assert str(store.get_prompt_version_by_alias(config.prompt.name, ALIAS).version) == "1"
    logged = Path(mlflow.artifacts.download_artifacts(second.model_uri)) / "MLmodel"
    described = yaml.safe_load(logged.read_text(encoding="utf-8"))
    assert described["prompts"] == [f"prompts:/{config.prompt.name}/1"]
    assert described["resources"]["databricks"]["serving_endpoint"] == [{"name": config.model}]
    changed = config.model_copy(
        update={"prompt": config.prompt.model_copy(update={"system": config.prompt.system + "!"})}
    )
    third = evaluate(changed, sample_set)
    assert store.get_run(third.run_id).data.params["prompt_version"] == "2"
    assert third.candidate.hash != first.candidate.hash


LOAD = """
import json, sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1], model_config=json.loads(sys.argv[2]))
answer = model.predict({"input": [], "custom_inputs": {"title": "Rates", "content": "held"}})
print(json.dumps(answer["custom_outputs"]["classifications"][0]))
"""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_registered_model_needs_nothing_but_its_key(
    provider: str, store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = evaluate(candidate(provider), sample_set)
    version = mlflow.register_model(record.model_uri, "news_classifier").version
    own = {"openai": "OPENAI_", "anthropic": "ANTHROPIC_", "databricks": "DATABRICKS_"}[provider]
    keys = {name: value for name, value in os.environ.items() if name.startswith(own)}
    environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"], **keys}
    empty = tmp_path_factory.mktemp("empty")
    for override, cap in (({}, 1024), ({"max_output_tokens": 77}, 77)):
        words = [sys.executable, "-P", "-c", LOAD, f"models:/news_classifier/{version}", json.dumps(override)]
        done = subprocess.run(words, cwd=empty, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert (answer["category"], answer["sentiment"], answer["error"]) == ("Politics", "Neutral", None)
        assert KEY not in done.stdout + done.stderr
        sent = llm.requests[-1].body
        assert sent
        assert cap in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def test_a_wrong_key_ends_the_run_after_a_few_calls(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", WRONG_KEY)
    llm.behaviour = Behaviour(latency_s=0.2)
    with pytest.raises(ProviderError, match="OPENAI_API_KEY") as raised:
        evaluate(candidate("openai"), sample_set, concurrency=2)
    assert WRONG_KEY not in str(raised.value)
    assert len(llm.requests) <= 6
    [run] = store.search_runs([store.get_experiment_by_name("news-classifier-external").experiment_id])
    assert run.info.status == "FAILED"


def test_a_missing_key_is_said_before_anything_is_logged(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY is not set"):
        evaluate(candidate("anthropic"), sample_set)
    assert store.get_experiment_by_name("news-classifier-external") is None


def test_an_evaluation_without_any_answer_is_no_evaluation(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet
) -> None:
    llm.behaviour = Behaviour(status=400)
    with pytest.raises(ProviderError, match="None of 10 articles was answered"):
        evaluate(candidate("openai"), sample_set)


def test_an_unknown_price_is_no_figure(store: MlflowClient, llm: LLMServer, sample_set: LabeledSet) -> None:
    record = evaluate(candidate("openai", price=None), sample_set)
    assert not {name for name in record.metrics if name.startswith("cost_usd")}
    assert record.metrics["input_tokens"] > 0


def test_nobody_but_the_service_is_asked(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **named: Any) -> Any:
        asked.append(host)
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    record = evaluate(candidate("openai"), sample_set)
    model = mlflow.pyfunc.load_model(record.model_uri)
    model.predict({"input": [], "custom_inputs": {"title": "Rates", "content": "held"}})
    mlflow.flush_trace_async_logging()
    assert len(llm.requests) == 11
    assert {host for host in asked if host not in ("127.0.0.1", "localhost")} == set()


def test_a_call_that_is_never_answered_is_counted_with_its_upper_bound(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet
) -> None:
    llm.script([Behaviour(hang=True)])
    config = candidate("anthropic", timeouts={"read_s": 2.0, "total_s": 20.0})
    record = evaluate(config, sample_set)
    hung = llm.requests[0]
    assert config.price
    bound = config.price.cost_usd_at_most(len(hung.raw), config.max_output_tokens)
    assert record.metrics["unanswered_calls"] == 1
    assert record.metrics["cost_usd_at_most"] == pytest.approx(record.metrics["cost_usd"] + bound)
