"""The file that MLflow logs as code: it builds the agent from the `model_config` logged beside it."""

from mlflow.models import ModelConfig, set_model

from agent.config import AgentConfig
from agent.responses_agent import NewsClassifierAgent

set_model(NewsClassifierAgent(AgentConfig.model_validate(ModelConfig().to_dict())))  # type: ignore[no-untyped-call]
