from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.settings import read_yaml
from serving.app.keys import make_key
from serving.app.settings import KEYS_VARIABLE, SETTINGS_FILE, ServingSettings, load_settings
from tests.conftest import ROOT


def test_the_shipped_file_says_what_holds_without_it() -> None:
    assert load_settings(ROOT / SETTINGS_FILE) == ServingSettings()


def test_the_shipped_file_names_every_setting() -> None:
    named, known = read_yaml(ROOT / SETTINGS_FILE), ServingSettings().model_dump()
    assert named.keys() == known.keys()
    for group in ("limits", "watch", "traffic", "halt", "predictions"):
        assert dict(named[group]).keys() == known[group].keys(), group


def test_without_the_usual_file_the_defaults_hold_and_another_must_be_there(workspace: Path) -> None:
    (workspace / SETTINGS_FILE).unlink()
    assert load_settings(SETTINGS_FILE) == ServingSettings()
    with pytest.raises(ConfigError, match="Cannot read"):
        load_settings(Path("config/another.yaml"))


def test_keys_of_the_environment_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    _, digest = make_key()
    monkeypatch.setenv(KEYS_VARIABLE, f"desk:{digest} press:{digest}:60")
    desk, press = load_settings(SETTINGS_FILE).api_keys
    assert (desk.name, desk.sha256, desk.requests_per_minute) == ("desk", digest, 6000)
    assert (press.name, press.requests_per_minute) == ("press", 60)


@pytest.mark.parametrize("entry", ["desk", "desk:abc", "desk:{digest}:none", "{digest}", "a:{digest} a:{digest}"])
def test_a_wrong_key_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, entry.format(digest=make_key()[1]))
    with pytest.raises(ConfigError, match=KEYS_VARIABLE):
        load_settings(SETTINGS_FILE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits: {request_timeout_s: 120}", "less than 120"),
        ("traffic: {challenger_percent: 101}", "100"),
        ("halt: {answers: 10, min_answers: 20}", "min_answers"),
        ("port: 80", "is not a setting"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_settings(path)
