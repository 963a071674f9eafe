"""Models inside Databricks: OpenAI's wire, with the workspace's address and its short-lived tokens."""

from typing import Any

from agent.credentials import DatabricksLogin
from agent.endpoint import Endpoint
from agent.providers.llm import LLMProvider
from agent.wires.openai_chat import OpenAIChat

GATEWAY_MODELS = "system.ai."
"""Names that the AI gateway serves; all others are serving endpoints."""


class DatabricksProvider(LLMProvider):
    """Foundation models and other chat endpoints of the workspace at DATABRICKS_HOST."""

    wire = OpenAIChat()
    output_cap_name = "max_tokens"
    models_path = "/api/2.0/serving-endpoints"

    def endpoint(self) -> Endpoint:
        """The address in the workspace, and a token that is fresh for each request."""
        login = DatabricksLogin()
        gateway = self.config.model.startswith(GATEWAY_MODELS)
        path = "/ai-gateway/mlflow/v1/chat/completions" if gateway else "/serving-endpoints/chat/completions"
        return Endpoint((self.config.base_url or login.host).rstrip("/"), path, login.headers, login.may_wait)

    def advice(self, status: int) -> str:
        """What to look at after a 401, 403 or 404."""
        match status:
            case 401:
                return "Look at DATABRICKS_TOKEN (expired?), and that it belongs to DATABRICKS_HOST."
            case 403:
                return f"Look at the permission CAN QUERY on the serving endpoint {self.config.model!r}."
        return (
            f"Look at DATABRICKS_HOST and the endpoint name {self.config.model!r}; list them: news-classifier models."
        )

    def model_names(self, payload: Any) -> list[str]:
        """The names in a list of serving endpoints."""
        return [str(endpoint["name"]) for endpoint in payload.get("endpoints", [])]
