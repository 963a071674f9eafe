"""Anthropic's messages."""

from collections.abc import Mapping
from typing import Any

from agent.prices import Usage
from agent.wires import MalformedReply, Question, Reply, Stop, count_of, text_of

TRUNCATED = ("max_tokens", "model_context_window_exceeded")


class AnthropicMessages:
    """Bodies of `POST /v1/messages`."""

    def body(self, question: Question) -> Mapping[str, object]:
        """The body of the request."""
        body: dict[str, object] = {
            "model": question.model,
            "system": question.system,
            "messages": [{"role": turn.role, "content": turn.text} for turn in question.turns],
            question.output_cap_name: question.output_cap,
            **question.params,
        }
        if question.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": question.schema}}
        return body

    def reply(self, payload: Any) -> Reply:
        """What the response says. Raises MalformedReply."""
        try:
            text, reason, usage = text_of(payload["content"]), payload.get("stop_reason"), payload.get("usage")
        except (KeyError, TypeError, AttributeError) as err:
            raise MalformedReply(f"no message ({err!r})") from err
        stop: Stop = "refused" if reason == "refusal" else "truncated" if reason in TRUNCATED else "end"
        return Reply(text, stop, usage_of(usage) if isinstance(usage, Mapping) else None)


def usage_of(usage: Mapping[str, object]) -> Usage | None:
    """Token usage; cached tokens are counted beside the others here."""
    if not isinstance(usage.get("input_tokens"), int) or not isinstance(usage.get("output_tokens"), int):
        return None
    read, written = count_of(usage, "cache_read_input_tokens"), count_of(usage, "cache_creation_input_tokens")
    return Usage(count_of(usage, "input_tokens") + read + written, count_of(usage, "output_tokens"), read, written)
