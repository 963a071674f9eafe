from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.settings import read_settings
from tests.conftest import ROOT
from training.config import TrainingConfig


def test_a_misspelt_nested_key_is_told_what_is_allowed_there(tmp_path: Path) -> None:
    text = (ROOT / "config" / "training.yaml").read_text(encoding="utf-8")
    path = tmp_path / "training.yaml"
    path.write_text(text.replace("min_df: 2,", "min_dff: 2,", 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_settings(path, TrainingConfig)
    assert "'category.vectorizer.min_dff' is not a setting. Allowed: char_min_df, char_range, char_weight" in str(
        caught.value
    )
