"""Requests and answers that /openapi.json and /docs show."""

import json
from typing import Any

from agent.records import Call, Classification
from agent.replies import brief_json, custom_outputs, message

ARTICLE = {"title": "Rowers win the cup", "content": "They beat the record by a second."}
TEXT = f"{ARTICLE['title']}. {ARTICLE['content']}"
OTHER = {"id": "a2", "title": "Prices fall", "content": "For the third month in a row."}
LINES = "".join(json.dumps(article) + "\n" for article in ({"id": "a1", **ARTICLE}, OTHER))
RECORDS: list[dict[str, Any]] = [
    Classification(
        id=name,
        category=category,
        sentiment=sentiment,
        provider="openai",
        model="gpt-4o-mini",
        calls=(
            Call(
                stage="classify",
                model="openai:gpt-4o-mini",
                outcome="ok",
                latency_ms=612.5,
                answer_format="json_schema",
                input_tokens=410,
                output_tokens=12,
                cost_usd=0.0000687,
            ),
        ),
    ).model_dump(mode="json")
    for name, category, sentiment in (("a1", "Sports", "Positive"), ("a2", "Business", "Negative"))
]
ONE = {**RECORDS[0], "id": None}
AGENT = {
    "one": {"input": [], "custom_inputs": ARTICLE},
    "several": {"input": [], "custom_inputs": {"articles": [{"id": "a1", **ARTICLE}, OTHER]}},
    "message": {"input": [{"role": "user", "content": TEXT}]},
}
REQUESTS: dict[str, dict[str, object]] = {
    "classify": {"one": ARTICLE, "several": {"articles": [{"id": "a1", **ARTICLE}, OTHER]}},
    "Agent": {**AGENT, "row": {"dataframe_records": [AGENT["one"]]}},
    "OpenAI": {
        "text": {"model": "champion", "input": "Rowers win the cup. They beat the record by a second."},
        **AGENT,
    },
}
AGENT_ANSWER = {
    "object": "response",
    "output": [message(brief_json(ONE), "msg_1f0e8d6c5b4a49388271605f4e3d2c1b")],
    "custom_outputs": custom_outputs([ONE]),
}
ANSWERS: dict[str, dict[str, object]] = {
    "classify": {"one": ONE, "several": {"classifications": RECORDS}},
    "Agent": {"one": AGENT_ANSWER},
    "OpenAI": {
        "one": {
            **AGENT_ANSWER,
            "id": "resp_7c0b7a5e1d2f4e0c9a6b3d8f5e4c2a10",
            "created_at": 1_767_225_600,
            "model": "champion",
            "status": "completed",
            "error": None,
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
        }
    },
    "ready": {
        "one": {
            "ready": True,
            "versions": [{"version": "5", "role": "champion", "breaker": "closed", "workers": 1}],
        }
    },
}
