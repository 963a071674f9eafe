"""OpenAI, and every server that speaks its wire: vLLM, Ollama, a gateway."""

from typing import Any

from agent.credentials import OpenAICredentials
from agent.endpoint import Endpoint
from agent.providers.llm import LLMProvider
from agent.wires.openai_chat import OpenAIChat


class OpenAIProvider(LLMProvider):
    """Chat completions with OPENAI_API_KEY, at the configured `base_url` or OPENAI_BASE_URL."""

    wire = OpenAIChat()
    output_cap_name = "max_completion_tokens"
    models_path = "/models"

    def endpoint(self) -> Endpoint:
        """The address, and the key as a bearer token."""
        credentials = OpenAICredentials.read()
        base_url = (self.config.base_url or credentials.base_url).rstrip("/")
        signed = {"Authorization": f"Bearer {credentials.api_key.get_secret_value()}"}
        return Endpoint(base_url, "/chat/completions", lambda: signed)

    def advice(self, status: int) -> str:
        """What to look at after a 401, 403 or 404."""
        match status:
            case 401:
                return "Look at OPENAI_API_KEY, and that it belongs to this base_url."
            case 403:
                return f"Look at what the project of OPENAI_API_KEY may use: {self.config.model!r}, this country."
        return f"Look at the model name {self.config.model!r} and the base_url; list them: news-classifier models."

    def model_names(self, payload: Any) -> list[str]:
        """The names in a list of models."""
        return [str(model["id"]) for model in payload["data"]]
