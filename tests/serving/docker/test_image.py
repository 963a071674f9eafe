"""Which version an image is made of, what it says about itself, and a build that fails."""

from pathlib import Path

import pytest

from agent.errors import DeploymentError, RegistryError
from serving.docker.image import choose, follow, labels, python_of
from tests.serving.docker.conftest import EVIDENCE


@pytest.mark.parametrize("model", ["@champion", "models:/news_classifier@champion", "models:/news_classifier/1"])
def test_a_version_is_chosen_by_alias_or_number(champion: Path, model: str) -> None:
    chosen = choose(model)
    assert (chosen.name, chosen.version.number) == ("news_classifier", "1")
    assert (chosen.uri, chosen.tag) == ("models:/news_classifier/1", "news-classifier:1")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("@challenger", r"news_classifier has no version '@challenger'\. See: make status\."),
        ("models:/news_classifier/9", r"has no version 'models:/news_classifier/9'"),
        ("models:/other@champion", r"other has no version .*Make one first: news-classifier run"),
        ("runs:/abc/model", r"'runs:/abc/model' names no registered version\. Give @champion"),
        ("champion", r"'champion' names no registered version"),
    ],
)
def test_what_is_no_registered_version_is_refused(champion: Path, model: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        choose(model)


def test_labels_name_the_version_and_its_evidence(champion: Path) -> None:
    found = labels(choose("@champion"), "python:3.11-slim")
    assert found["org.opencontainers.image.version"] == found["news-classifier.version"] == "1"
    assert found["org.opencontainers.image.base.name"] == "python:3.11-slim"
    assert found["news-classifier.evidence-hash"] == EVIDENCE
    assert found["news-classifier.model"] == "news_classifier"
    assert found["news-classifier.provider"] == "sklearn"
    assert found["news-classifier.code-hash"] == "c0de"


def test_the_image_has_the_python_that_the_version_was_logged_with(tmp_path: Path) -> None:
    (tmp_path / "python_env.yaml").write_text("python: 3.12.4\n", encoding="utf-8")
    assert python_of(tmp_path) == "3.12"


def test_a_build_that_fails_says_its_last_lines_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "a-word-that-is-secret")
    said: list[str] = []
    messages = [
        {"stream": "Step 1/2 : FROM python"},
        {"stream": "\n"},
        {"stream": "looking at a-word-that-is-secret\n"},
        {"error": "The command returned a non-zero code: 1"},
    ]
    with pytest.raises(DeploymentError) as caught:
        follow(iter(messages), "python:3.11-slim", said.append)
    assert said == ["Step 1/2 : FROM python"]
    assert "non-zero code: 1" in str(caught.value)
    assert "looking at [redacted]" in str(caught.value)
    assert "a-word-that-is-secret" not in str(caught.value)
