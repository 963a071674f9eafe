"""OpenAI's chat completions, which Databricks, vLLM, Ollama and most gateways speak too."""

from collections.abc import Mapping
from typing import Any

from agent.prices import Usage
from agent.wires import SCHEMA_NAME, MalformedReply, Question, Reply, Stop, count_of, text_of


class OpenAIChat:
    """Bodies of `POST .../chat/completions`."""

    def body(self, question: Question) -> Mapping[str, object]:
        """The body of the request."""
        body: dict[str, object] = {
            "model": question.model,
            "messages": [
                {"role": "system", "content": question.system},
                *({"role": turn.role, "content": turn.text} for turn in question.turns),
            ],
            question.output_cap_name: question.output_cap,
            **question.params,
        }
        if question.schema:
            schema = {"name": SCHEMA_NAME, "strict": True, "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def reply(self, payload: Any) -> Reply:
        """What the response says. Raises MalformedReply."""
        try:
            choice = payload["choices"][0]
            message, reason = choice["message"], choice.get("finish_reason")
            refused = bool(message.get("refusal")) or reason == "content_filter"
            usage = payload.get("usage")
            text = text_of(message.get("content"))
        except (KeyError, IndexError, TypeError, AttributeError) as err:
            raise MalformedReply(f"no choice with a message ({err!r})") from err
        stop: Stop = "refused" if refused else "truncated" if reason == "length" else "end"
        return Reply(text, stop, usage_of(usage) if isinstance(usage, Mapping) else None)


def usage_of(usage: Mapping[str, object]) -> Usage | None:
    """Token usage; cached tokens are part of the prompt's."""
    if not isinstance(usage.get("prompt_tokens"), int) or not isinstance(usage.get("completion_tokens"), int):
        return None
    return Usage(
        count_of(usage, "prompt_tokens"),
        count_of(usage, "completion_tokens"),
        count_of(usage, "prompt_tokens_details", "cached_tokens"),
        count_of(usage, "prompt_tokens_details", "cache_write_tokens"),
    )
