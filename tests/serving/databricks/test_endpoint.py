"""From champion, challenger and settings to the exact requests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk.service.serving import ServingEndpointDetailed
from pydantic import ValidationError

from agent.errors import ConfigError, DeploymentError, RegistryError
from agent.providers import PROVIDERS
from agent.settings import parse_settings, read_settings
from eval.secret_scope import KEYS, SCOPE
from registry.versions import Version
from serving.databricks.agents import agents_request
from serving.databricks.endpoint import Endpoint, gateway_requests, requests_for, wanted_endpoint
from serving.databricks.settings import DatabricksSettings, RateLimit
from tests.conftest import ROOT

MODEL = "main.news.news_classifier"
TABLE = {"enabled": True, "catalog_name": "main", "schema_name": "news", "table_name_prefix": "news_classifier"}


def version(number: str, provider: str = "sklearn") -> Version:
    return Version(number, "run", {"provider": provider}, ())


def changed(**fields: Any) -> DatabricksSettings:
    content = yaml.safe_load((ROOT / "config" / "databricks.yaml").read_text(encoding="utf-8"))
    return parse_settings(content | fields, DatabricksSettings, "config/databricks.yaml")


def test_the_request_that_makes_the_endpoint_of_champion_and_challenger(settings: DatabricksSettings) -> None:
    wanted = wanted_endpoint(MODEL, version("3"), version("4", "openai"), 10, settings)
    [request] = requests_for(wanted, None)
    common = {"entity_name": MODEL, "workload_size": "Small", "scale_to_zero_enabled": True}
    assert request.method == "POST"
    assert request.path == "/api/2.0/serving-endpoints"
    assert request.body == {
        "name": "news-classifier",
        "config": {
            "served_entities": [
                {
                    "name": "news_classifier-3",
                    "entity_version": "3",
                    "environment_vars": {"MLFLOW_TRACE_SAMPLING_RATIO": "0"},
                    **common,
                },
                {
                    "name": "news_classifier-4",
                    "entity_version": "4",
                    "environment_vars": {
                        "MLFLOW_TRACE_SAMPLING_RATIO": "0",
                        "OPENAI_API_KEY": "{{secrets/news-classifier-secrets/openai-api-key}}",
                    },
                    **common,
                },
            ],
            "traffic_config": {
                "routes": [
                    {"served_entity_name": "news_classifier-3", "traffic_percentage": 90},
                    {"served_entity_name": "news_classifier-4", "traffic_percentage": 10},
                ]
            },
        },
        "ai_gateway": {"inference_table_config": TABLE},
    }


@pytest.mark.parametrize(
    ("provider", "keys"),
    [("openai", {"OPENAI_API_KEY"}), ("anthropic", {"ANTHROPIC_API_KEY"}), ("databricks", set()), ("sklearn", set())],
)
def test_only_the_keys_that_are_needed_are_referred_to(
    settings: DatabricksSettings, provider: str, keys: set[str]
) -> None:
    [entity] = wanted_endpoint(MODEL, version("1", provider), None, 0, settings).entities
    assert set(entity.environment_vars) - {"MLFLOW_TRACE_SAMPLING_RATIO"} == keys


def test_the_shipped_settings_know_every_provider_and_the_keys_of_the_scope(settings: DatabricksSettings) -> None:
    assert set(settings.secrets.keys) == set(PROVIDERS)
    assert settings.secrets.scope == SCOPE
    for provider, (key, variable) in KEYS.items():
        assert settings.secrets.keys[provider] == {variable: key}


def test_a_version_that_does_not_say_whom_it_asks_is_not_served(settings: DatabricksSettings) -> None:
    with pytest.raises(RegistryError, match="Version 1 .* has no tag 'provider'"):
        wanted_endpoint(MODEL, Version("1", "run", {}, ()), None, 0, settings)
    with pytest.raises(ConfigError, match="add 'secrets.keys.other'"):
        wanted_endpoint(MODEL, version("1", "other"), None, 0, settings)


@pytest.mark.parametrize("percents", [(90, 11), (100, 0, 0), (100,)])
def test_shares_that_are_not_100_together_are_a_defect(settings: DatabricksSettings, percents: tuple[int, ...]) -> None:
    wanted = wanted_endpoint(MODEL, version("3"), version("4"), 10, settings)
    with pytest.raises(ValidationError, match="are not 100 together"):
        Endpoint(**{**wanted.model_dump(), "percents": percents})


def test_limits_and_usage_are_asked_for_where_they_are_switched_on() -> None:
    gateway = {
        "inference_table": {"catalog_name": "logs", "schema_name": "served", "table_name_prefix": "news"},
        "usage_tracking": True,
        "rate_limits": [{"calls": 600}, {"calls": 60, "key": "user_group", "principal": "press"}],
    }
    [request] = requests_for(wanted_endpoint(MODEL, version("1"), None, 0, changed(ai_gateway=gateway)), None)
    assert request.body
    assert request.body["ai_gateway"] == {
        "inference_table_config": {
            "enabled": True,
            "catalog_name": "logs",
            "schema_name": "served",
            "table_name_prefix": "news",
        },
        "usage_tracking_config": {"enabled": True},
        "rate_limits": [
            {"calls": 600, "key": "endpoint", "renewal_period": "minute"},
            {"calls": 60, "key": "user_group", "principal": "press", "renewal_period": "minute"},
        ],
    }
    [request] = requests_for(wanted_endpoint(MODEL, version("1"), None, 0, changed(ai_gateway={})), None)
    assert request.body
    assert "ai_gateway" not in request.body


def test_a_limit_names_whom_it_is_for() -> None:
    with pytest.raises(ValidationError, match="needs the 'principal'"):
        RateLimit(calls=1, key="user_group")
    with pytest.raises(ValidationError, match="remove 'principal'"):
        RateLimit(calls=1, principal="press")


def test_the_inference_table_is_switched_off_before_it_moves_and_what_others_set_stays() -> None:
    guards = {"input": {"pii": {"behavior": "BLOCK"}}}
    moved = {**TABLE, "schema_name": "elsewhere"}
    found = {"inference_table_config": TABLE, "guardrails": guards}
    path = "/api/2.0/serving-endpoints/e/ai-gateway"
    assert gateway_requests("e", {"inference_table_config": TABLE}, found) == []
    assert gateway_requests("e", {"inference_table_config": moved}, found) == [
        ("PUT", path, {"guardrails": guards, "inference_table_config": {**TABLE, "enabled": False}}),
        ("PUT", path, {"guardrails": guards, "inference_table_config": moved}),
    ]


@pytest.mark.parametrize(
    "environment", [{"MY_API_KEY": "abc"}, {"ADDRESS": "https://ann:hunter2-and-more@example.org"}]
)
def test_a_key_in_the_settings_is_refused_and_a_reference_is_not(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="must be a reference"):
        changed(environment=environment)
    assert changed(environment={"MY_API_KEY": "{{secrets/mine/key}}"}).environment


def test_a_mistake_in_the_settings_is_named(tmp_path: Path) -> None:
    path = tmp_path / "databricks.yaml"
    path.write_text((ROOT / "config" / "databricks.yaml").read_text(encoding="utf-8") + "workload: Small\n")
    with pytest.raises(ConfigError, match="field 'workload' is not a setting"):
        read_settings(path, DatabricksSettings)
    with pytest.raises(ConfigError, match="'workload_size' has the value 'Huge'"):
        changed(workload_size="Huge")


def test_an_endpoint_of_another_model_is_left_alone(settings: DatabricksSettings) -> None:
    entity = {"name": "x-1", "entity_name": "main.other.x", "entity_version": "1"}
    found = ServingEndpointDetailed.from_dict({"name": "news-classifier", "config": {"served_entities": [entity]}})
    with pytest.raises(DeploymentError, match=r"serves main\.other\.x, .* Give another name with --name"):
        requests_for(wanted_endpoint(MODEL, version("1"), None, 0, settings), found)


def test_databricks_agents_is_called_with_what_it_takes(settings: DatabricksSettings) -> None:
    request = agents_request(wanted_endpoint(MODEL, version("3", "openai"), None, 0, settings))
    assert json.loads(json.dumps(request.body)) == {
        "model_name": MODEL,
        "model_version": 3,
        "scale_to_zero": True,
        "environment_vars": {
            "MLFLOW_TRACE_SAMPLING_RATIO": "0",
            "OPENAI_API_KEY": "{{secrets/news-classifier-secrets/openai-api-key}}",
        },
        "workload_size": "Small",
        "endpoint_name": "news-classifier",
    }
