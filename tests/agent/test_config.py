from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.errors import ConfigError
from tests.conftest import ROOT

AGENTS = sorted((ROOT / "config" / "agents").glob("*.yaml"))


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_every_shipped_agent_file_is_valid_and_named_as_its_file(path: Path) -> None:
    assert AgentConfig.from_file(path).name == path.stem


def test_paths_are_relative_to_the_file_and_not_logged() -> None:
    config = AgentConfig.from_file(ROOT / "config" / "agents" / "local-sklearn.yaml")
    assert config.artifact == ROOT / "models" / "local-sklearn"
    logged = config.to_model_config()
    assert logged["artifact"] is None
    assert str(ROOT) not in str(logged)
    assert AgentConfig.model_validate(logged).labels == config.labels


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("provider: sklearn", "provder: sklearn"), ["'provder'", "is not a setting", "provider"]),
        (("provider: sklearn", "provider: opnai"), ["'opnai'", "available: ", "sklearn"]),
        (("track: local", "track: outside"), ["'track'", "'outside'", "external"]),
        (("model: news-sklearn", ""), ["'model'", "missing"]),
        (("labels: ../labels.yaml", "labels: ../lables.yaml"), ["lables.yaml", "Cannot read"]),
    ],
)
def test_a_mistake_is_named_with_file_field_value_and_what_is_allowed(
    workspace: Path, change: tuple[str, str], expected: list[str]
) -> None:
    path = workspace / "config" / "agents" / "local-sklearn.yaml"
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        AgentConfig.from_file(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [".yaml", *expected]:
        assert part in message


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"a: [", b"\xff\xfe"])
def test_what_is_no_mapping_of_settings_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="agent.yaml"):
        AgentConfig.from_file(path)
