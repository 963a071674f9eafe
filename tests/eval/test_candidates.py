from datetime import date
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.settings import read_settings
from eval.candidates import all_candidates, load_candidate
from eval.lifecycle import Lifecycle, Retirement
from tests.conftest import ROOT

FILES = sorted((ROOT / "config" / "agents").glob("*.yaml"))
NAMED = {
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-sonnet-5-5"),
    ("databricks", "databricks-gpt-oss-20b"),
    ("databricks", "databricks-gpt-5-1"),
    ("databricks", "databricks-gpt-oss-120b"),
    ("databricks", "databricks-llama-4-maverick"),
    ("databricks", "databricks-meta-llama-3-3-70b-instruct"),
    ("databricks", "databricks-meta-llama-3-1-405b-instruct"),
    ("databricks", "databricks-meta-llama-3-1-8b-instruct"),
    ("databricks", "databricks-gemma-3-12b"),
    ("databricks", "databricks-qwen3-next-80b-a3b-instruct"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_candidate_is_complete_and_has_a_price(path: Path) -> None:
    config = AgentConfig.from_file(path)
    assert config.name == path.stem
    assert config.note
    if config.provider != "sklearn":
        assert config.prompt
        assert config.price
        assert "temperature" not in config.params


def test_the_same_prompt_cap_and_labels_for_every_llm() -> None:
    configs = [config for config in map(AgentConfig.from_file, FILES) if config.provider != "sklearn"]
    assert len({(config.prompt, config.max_output_tokens, config.labels, config.timeouts) for config in configs}) == 1
    assert {(config.provider, config.model) for config in configs} >= NAMED


def test_a_candidate_is_found_by_its_model_and_made_where_it_has_no_file(workspace: Path) -> None:
    assert load_candidate().name == "local-sklearn"
    assert load_candidate(provider="anthropic").name == "external-anthropic"
    assert load_candidate(model="databricks-gpt-oss-120b").name == "internal-gpt-oss-120b"
    made = load_candidate(provider="openai", model="My/Model:7b")
    assert (made.name, made.track, made.price) == ("external-my-model-7b", "external", None)
    assert made.prompt == load_candidate(provider="openai").prompt


def test_models_that_are_gone_are_refused_by_name(workspace: Path) -> None:
    for model in ("databricks-dbrx-instruct", "databricks-mixtral-8x7b-instruct", "mixtral"):
        with pytest.raises(ConfigError, match=r"was retired on .* Use 'databricks-gpt-oss-20b'"):
            load_candidate(provider="databricks", model=model)


def test_an_end_is_counted_in_days() -> None:
    lifecycle = read_settings(ROOT / "config" / "lifecycle.yaml", Lifecycle)
    known = lifecycle.of("anthropic", "claude-sonnet-4-5")
    assert isinstance(known, Retirement)
    assert known.days_left(date(2026, 11, 21)) == 9
    assert known.successor == "claude-sonnet-5-5"
    assert lifecycle.of("openai", "claude-sonnet-4-5") is None


def test_each_track_begins_with_its_default(workspace: Path) -> None:
    assert [config.name for config in all_candidates("internal")][0] == "internal-databricks"
    assert all_candidates()[0].track == "external"


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"base_url": "https://me:sk-abcdefghijklmnop@host/v1"}, "base_url"),
        ({"note": f"key {'sk-ant-api03'}-abcdefghijklmnop"}, "note"),
        ({"params": {"metadata": {"auth": "Bearer abcdefghijklmnop1234"}}}, "params"),
    ],
)
def test_a_key_in_a_file_is_refused_and_not_shown(workspace: Path, setting: dict[str, object], field: str) -> None:
    settings = {"name": "a", "provider": "openai", "model": "m", "track": "external", "labels": "../labels.yaml"}
    with pytest.raises(ConfigError, match=f"'{field}' holds what looks like a key") as raised:
        AgentConfig.from_settings(settings | setting, workspace / "config" / "agents" / "a.yaml")
    assert "abcdefghijkl" not in str(raised.value)


@pytest.mark.parametrize("name", ["stream", "extra_headers", "max_tokens", "response_format"])
def test_parameters_that_are_not_the_models_are_refused(workspace: Path, name: str) -> None:
    settings = {"name": "a", "provider": "openai", "model": "m", "track": "external", "labels": "../labels.yaml"}
    with pytest.raises(ConfigError, match=name):
        AgentConfig.from_settings(settings | {"params": {name: 1}}, workspace / "config" / "agents" / "a.yaml")
