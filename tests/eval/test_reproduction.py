from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.errors import DataError
from agent.labels import LabelSet
from eval.labeled_set import LabeledSet
from eval.reproduction import reproduce
from eval.runner import evaluate
from tests.conftest import ROOT, write_jsonl
from tests.eval.conftest import KEY
from tests.eval.test_llm_runs import candidate
from tests.llm_server import LLMServer


def test_a_local_evaluation_is_reproduced_to_the_label(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, labels: LabelSet
) -> None:
    record = evaluate(agent_config, sample_set)
    assert record.run_id
    found = reproduce(record.run_id, labels, data_file=ROOT / "data" / "sample_news.json")
    assert found.is_identical
    assert not found.differs
    assert found.same_labels == {"category": 10, "sentiment": 10, "joint": 10}
    assert found.again.candidate.hash == record.candidate.hash
    assert found.again.model_uri == record.model_uri


def test_an_llm_is_asked_again_and_its_changes_are_counted(
    store: MlflowClient, llm: LLMServer, sample_set: LabeledSet, labels: LabelSet
) -> None:
    record = evaluate(candidate("openai"), sample_set)
    assert record.run_id
    answer = llm.answers
    asked = len(llm.requests)
    first = sample_set.rows[0].title
    llm.answers = lambda prompt: ("Unheard", "Neutral") if first in prompt else answer(prompt)
    found = reproduce(record.run_id, labels, data_file=ROOT / "data" / "sample_news.json")
    assert len(llm.requests) > asked + 9, "everything is asked again, the journal is not used"
    assert found.same_labels["category"] == 9
    assert not found.is_identical
    assert KEY not in found.model_dump_json()


def test_other_articles_are_refused_before_anything_is_asked(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet, labels: LabelSet, tmp_path: Path
) -> None:
    record = evaluate(agent_config, sample_set)
    assert record.run_id
    rows: list[dict[str, object]] = [
        {
            "id": row.id,
            "title": row.title,
            "content": f"{row.content}!",
            **{str(task): row.gold[task] for task in row.gold},
        }
        for row in sample_set.rows
    ]
    with pytest.raises(DataError, match="was evaluated"):
        reproduce(record.run_id, labels, data_file=write_jsonl(tmp_path / "changed.jsonl", rows))
    with pytest.raises(DataError, match="cannot be read"):
        reproduce("0" * 32, labels)
