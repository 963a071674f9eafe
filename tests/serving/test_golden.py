"""The articles that nobody disputes: one a category at least, the local model gets them right, bad answers fail."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.labels import LabelSet
from agent.records import ArticleError, Classification
from serving.golden import SMOKE_FILE, GoldenArticle, SmokeSet
from tests.conftest import ROOT

SMOKE = SmokeSet.from_file(ROOT / SMOKE_FILE)
Change = Callable[[Classification], Classification]


def asked(config: AgentConfig) -> list[Classification]:
    classifier = Classifier(config)
    classifier.prepare()
    answers = classifier.classify([golden.article for golden in SMOKE.articles])
    return [record for _, record in sorted(answers, key=lambda answer: answer[0])]


@pytest.fixture(scope="module")
def records(agent_config: AgentConfig) -> list[Classification]:
    return asked(agent_config)


def test_every_category_is_asked_about_with_labels_that_are_configured(labels: LabelSet) -> None:
    assert {golden.category for golden in SMOKE.articles} == set(labels.category_names)
    assert {golden.sentiment for golden in SMOKE.articles} - {None} == set(labels.sentiment_names)


def test_the_articles_are_in_no_labelled_set() -> None:
    kept = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "data").glob("*.json*"))
    assert not [golden.id for golden in SMOKE.articles if golden.title in kept]


def test_the_local_model_gets_all_of_them_right(records: list[Classification]) -> None:
    verdict = SMOKE.verdict(records)
    assert verdict.passed
    assert not [finding for finding in verdict.findings if finding.misses or finding.faults]


FAULTS: list[tuple[Change, str]] = [
    (lambda record: record.model_copy(update={"id": "another"}), "got the answer for 'another'"),
    (lambda record: record.model_copy(update={"category": None, "sentiment": None}), "neither a category"),
    (
        lambda record: record.model_copy(
            update={"error": ArticleError(type="unavailable", message="the service is down")}
        ),
        "unavailable: the service is down",
    ),
    (
        lambda record: record.model_copy(update={"category_probabilities": {"Politics": 0.5, "Sports": 0.4}}),
        "add up to 0.9",
    ),
    (
        lambda record: record.model_copy(update={"category_probabilities": {"Politics": 1.5, "Sports": -0.5}}),
        "none or add up to 1,",
    ),
    (lambda record: record.model_copy(update={"category": "Gardening"}), "'Gardening', which has no probability"),
]


@pytest.mark.parametrize(("change", "said"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_one_answer_that_is_none_does_not_pass(records: list[Classification], change: Change, said: str) -> None:
    verdict = SMOKE.verdict([change(records[0]), *records[1:]])
    assert not verdict.passed
    assert said in str(verdict.problem)


def test_one_other_label_is_an_opinion_and_two_are_a_fault(records: list[Classification]) -> None:
    other = [record.model_copy(update={"category": "Unknown", "unknown_reason": "not_on_list"}) for record in records]
    one = SMOKE.verdict([other[0], *records[1:]])
    assert one.passed
    assert one.findings[0].misses == ("'smoke-politics' has the category 'Unknown' (not_on_list), not 'Politics'",)
    two = SMOKE.verdict([*other[:2], *records[2:]])
    assert str(two.problem).startswith("2 labels that are others, 1 allowed; first 'smoke-politics'")


def test_answers_that_are_missing_do_not_pass(records: list[Classification]) -> None:
    assert SMOKE.verdict(records[1:]).problem == "9 articles got 8 answers"


def test_a_task_that_the_model_does_not_judge_is_not_looked_at(records: list[Classification]) -> None:
    only = [record.model_copy(update={"sentiment": None, "sentiment_probabilities": None}) for record in records]
    assert SMOKE.verdict(only).passed


def test_a_file_with_two_articles_of_one_name_or_without_text_is_refused(tmp_path: Path) -> None:
    twice = {"articles": [GoldenArticle(id="a", title="t", category="Sports").model_dump()] * 2}
    empty = {"articles": [{"id": "a", "title": " ", "category": "Sports"}]}
    for settings, said in ((twice, "id of its own"), (empty, "both empty")):
        path = tmp_path / "smoke.yaml"
        path.write_text(str(settings).replace("None", "null"), encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            SmokeSet.from_file(path)


def test_it_needs_neither_mlflow_nor_pandas_nor_rich() -> None:
    check = "import sys, serving.golden; print({'mlflow', 'pandas', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
