"""Deployment by `databricks.agents.deploy`, which brings a review app and feedback: one version, all traffic."""

from importlib import import_module

from agent.errors import ConfigError, DeploymentError
from serving.databricks.endpoint import Endpoint, Request
from serving.databricks.present import Json

CALL = "CALL"
"""In place of a method, where a function is called instead."""
FUNCTION = "databricks.agents.deploy"


def agents_request(wanted: Endpoint) -> Request:
    """The call that deploys the champion; AI Gateway it sets up by itself."""
    [champion] = wanted.entities
    arguments = {
        "model_name": champion.entity_name,
        "model_version": int(champion.entity_version),
        "scale_to_zero": champion.scale_to_zero_enabled,
        "environment_vars": dict(champion.environment_vars),
        "workload_size": champion.workload_size,
        "endpoint_name": wanted.name,
    }
    return Request(CALL, FUNCTION, arguments)


def call_agents(arguments: Json) -> None:
    """Let databricks-agents create or update the endpoint; it returns before the endpoint is ready.

    Raises:
        ConfigError: databricks-agents is not installed.
        DeploymentError: it refused.
    """
    try:
        agents = import_module("databricks.agents")
    except ImportError as err:
        raise ConfigError(
            "--with-agents needs databricks-agents: pip install 'news-classifier-agent[databricks]'."
        ) from err
    try:
        agents.deploy(**arguments)
    except Exception as err:  # whatever the several services behind it raise
        raise DeploymentError(f"{FUNCTION} failed: {str(err).rstrip('.')}.") from err
