"""Logs the agent as code: the `agent` package, its configuration and, for the local track, the trained model."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.models.model import ModelInfo
from mlflow.models.resources import DatabricksServingEndpoint, Resource

from agent.config import AgentConfig
from agent.fingerprint import PACKAGE, code_hash
from agent.local_model import model_files
from agent.providers.databricks import GATEWAY_MODELS
from agent.responses_agent import LOCAL_MODEL, NewsClassifierAgent
from eval.memory import sort_out_garbage
from eval.prompts import prompt_uri
from eval.targets import CODE_HASH

REQUIREMENTS: Sequence[str] = ("mlflow", "pydantic", "pyyaml", "aiohttp", "tenacity")
PROVIDER_REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "anthropic": ("pydantic-settings",),
    "databricks": ("pydantic-settings", "databricks-sdk"),
    "openai": ("pydantic-settings",),
    "sklearn": ("numpy", "scipy"),
}
INPUT_EXAMPLE: Mapping[str, object] = {
    "input": [],
    "custom_inputs": {
        "title": "Rowers win gold on home water",
        "content": "The city's four beat the champions by a second.",
    },
}
NO_ARTICLES: Mapping[str, object] = {"input": [], "custom_inputs": {"articles": []}}
"""MLflow answers the input example while logging; this one costs no call to an LLM."""


def log_agent(config: AgentConfig) -> ModelInfo:
    """Log the agent into the active run, with pinned requirements and without the working directory's uv.lock.

    The package is copied first, so that what is logged is the same bytes whatever Python left beside them.
    """
    with tempfile.TemporaryDirectory() as scratch, without_bytecode():
        package, model = Path(scratch) / "agent", Path(scratch) / LOCAL_MODEL
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if config.artifact:
            model.mkdir()
            for path in model_files(config.artifact):
                shutil.copy(path, model)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name="agent",
            python_model=str(package / "model.py"),
            code_paths=[str(package)],
            model_config=config.to_model_config(),
            artifacts={LOCAL_MODEL: str(model)} if config.artifact else None,
            pip_requirements=pinned_requirements(config.provider),
            input_example=INPUT_EXAMPLE if config.artifact else NO_ARTICLES,
            prompts=[uri] if (uri := prompt_uri(config)) else None,
            resources=databricks_resources(config),
            metadata={CODE_HASH: code_hash(package)},
        )
        if NewsClassifierAgent.loaded:  # MLflow holds on to what it tried
            NewsClassifierAgent.loaded.classifier.release()
        sort_out_garbage()
        return logged


@contextmanager
def without_bytecode() -> Iterator[None]:
    """Keep Python from putting compiled files beside the code that MLflow tries and then copies."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def databricks_resources(config: AgentConfig) -> list[Resource]:
    """What the served model must be allowed to call inside Databricks."""
    if config.provider != "databricks" or config.model.startswith(GATEWAY_MODELS):
        return []
    return [DatabricksServingEndpoint(endpoint_name=config.model)]


def pinned_requirements(provider: str) -> list[str]:
    """What a model of this provider needs, at the versions installed here."""
    names = (*REQUIREMENTS, *PROVIDER_REQUIREMENTS[provider])
    return [f"{name}=={version(name)}" for name in names]
