"""Anthropic."""

from typing import Any

from agent.credentials import AnthropicCredentials
from agent.endpoint import Endpoint
from agent.providers.llm import LLMProvider
from agent.wires.anthropic_messages import AnthropicMessages

API_VERSION = "2026-10-21"
"""That of the official SDK, which the tests compare; from it on the API refuses sampling parameters."""


class AnthropicProvider(LLMProvider):
    """Messages with ANTHROPIC_API_KEY, at the configured `base_url` or ANTHROPIC_BASE_URL."""

    wire = AnthropicMessages()
    output_cap_name = "max_tokens"
    models_path = "/v1/models?limit=1000"

    def endpoint(self) -> Endpoint:
        """The address, and the key as the official SDK sends it."""
        credentials = AnthropicCredentials.read()
        base_url = (self.config.base_url or credentials.base_url).rstrip("/")
        key = credentials.api_key.get_secret_value()
        signed = {"Authorization": f"Bearer {key}", "anthropic-version": API_VERSION}
        return Endpoint(base_url, "/v1/messages", lambda: signed)

    def advice(self, status: int) -> str:
        """What to look at after a 401, 403 or 404."""
        match status:
            case 401:
                return "Look at ANTHROPIC_API_KEY."
            case 403:
                return f"Look at what the workspace of ANTHROPIC_API_KEY may use: {self.config.model!r}."
        return f"Look at the model name {self.config.model!r}; list them: news-classifier models."

    def model_names(self, payload: Any) -> list[str]:
        """The names in a list of models."""
        return [str(model["id"]) for model in payload["data"]]
