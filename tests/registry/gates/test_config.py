import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from agent.errors import ConfigError
from agent.settings import read_settings
from eval.metrics import TASK_METRICS
from eval.metrics.direction import direction_of
from eval.metrics.judged import Judged
from eval.outcomes import TaskOutcome, joint_outcome
from registry.gates.class_floor import ClassFloorRule
from registry.gates.config import Gates, GatesConfig
from registry.gates.threshold import Quality
from tests.conftest import ROOT


def read(folder: Path, text: str) -> GatesConfig:
    path = folder / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, GatesConfig)


def gates(inner: str) -> str:
    """A configuration that is right but for `inner`."""
    return f"gates:\n  thresholds: [{{metric: category_accuracy, at_least: 0.9}}]\n  {inner}\n"


def measured_names() -> set[str]:
    """Every figure of a task that an evaluation can have."""
    rng = np.random.default_rng(1)
    gold, scores = rng.integers(0, 3, 60), rng.dirichlet(np.ones(3), 60)
    category = TaskOutcome("category", ("a", "b", "c"), gold, scores.argmax(axis=1), scores)
    sentiment = category._replace(name="sentiment")
    return {
        f"{outcome.name}_{name}"
        for outcome in (category, sentiment, joint_outcome(category, sentiment))
        for measure in TASK_METRICS
        for name in measure(Judged(outcome))
    }


def test_the_shipped_configuration_is_the_promised_one() -> None:
    config = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
    assert {rule.metric: rule.at_least for rule in config.gates.thresholds} == {
        "category_accuracy": 0.90,
        "category_macro_f1": 0.85,
        "category_macro_precision": 0.80,
        "category_macro_recall": 0.80,
        "sentiment_accuracy": 0.80,
    }
    assert all((rule.basis, rule.min_rows) == ("point", 0) for rule in config.gates.thresholds)
    assert config.gates.class_floors == ()
    off = (config.gates.label_flip_rate, config.gates.latency, config.gates.cost, config.gates.failure_rate)
    assert off == (None, None, None, None)
    assert not config.gates.end_of_life.refuse
    challenger = config.challenger
    assert (challenger.improvement, challenger.basis, challenger.min_rows) == (0.02, "point", 0)
    assert (challenger.sentiment_may_drop, challenger.saving) == (0.0, None)
    assert config.unattended.min_rows == 200


def test_what_the_shipped_configuration_comments_out_is_right_too(tmp_path: Path) -> None:
    shipped = (ROOT / "config" / "gates.yaml").read_text(encoding="utf-8")
    config = read(tmp_path, re.sub(r"(?m)^  # ", "  ", shipped))
    assert config.gates.class_floors[0].metric == "category_recall"
    assert config.gates.latency
    assert config.gates.latency.at_most == 2000
    assert config.gates.cost
    assert config.gates.failure_rate
    assert config.gates.label_flip_rate
    saving = config.challenger.saving
    assert saving
    assert (saving.accuracy_may_drop, saving.cost_share, saving.latency_share) == (0.03, 0.5, 0.5)


def test_the_names_of_thresholds_and_floors_are_those_of_the_evaluation() -> None:
    """All figures of quality that it measures, and agreement, which needs repeats."""
    measured = {name for name in measured_names() if direction_of(name) == "up"}
    floors = set(get_args(ClassFloorRule.model_fields["metric"].annotation))
    assert {name.partition(".")[0] for name in measured if "." in name} == floors
    agreement = {"category_agreement", "sentiment_agreement"}
    assert {name for name in measured if "." not in name} | agreement == set(get_args(Quality))


def test_a_misspelt_gate_names_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'gates.latncy' is not a setting. Allowed: .*Correct") as err:
        read(tmp_path, gates("latncy: {at_most: 1}"))
    for name in Gates.model_fields:
        assert name in str(err.value)
    with pytest.raises(ConfigError, match=r"'gates.cost.at_mots' is not a setting. Allowed: at_most, basis, min_rows"):
        read(tmp_path, gates("cost: {at_mots: 1}"))


@pytest.mark.parametrize("name", ["categroy_accuracy", "accuracy", "error_rate", "category_accuracy_ci_low"])
def test_a_misspelt_metric_names_the_allowed_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"'gates.thresholds.0.metric' has the value '{name}'.*'category_accuracy'"):
        read(tmp_path, f"gates: {{thresholds: [{{metric: {name}, at_least: 0.9}}]}}")
    with pytest.raises(ConfigError, match=r"'gates.class_floors.0.metric' has the value 'category_accuracy'"):
        read(tmp_path, gates("class_floors: [{metric: category_accuracy, at_least: 0.9}]"))


@pytest.mark.parametrize("text", ["gates: {}", "gates: {thresholds: []}", "gates: {end_of_life: {refuse: true}}"])
def test_no_gate_at_all_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"'gates' .*no gate is set.*thresholds, class_floors, label_flip_rate"):
        read(tmp_path, text)
    with pytest.raises(ConfigError, match="'gates' is missing"):
        read(tmp_path, "unattended: {min_rows: 200}")


def test_one_gate_of_any_kind_is_enough(tmp_path: Path) -> None:
    config = read(tmp_path, "gates: {cost: {at_most: 1}}")
    assert config.gates.cost
    assert config.gates.cost.at_most == 1


@pytest.mark.parametrize("value", ["no", "off", ".inf", "-.inf", ".nan", "'0.9'", ""])
def test_a_gate_cannot_be_switched_off_by_accident(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"gates\.thresholds\.0\.at_least"):
        read(tmp_path, f"gates:\n  thresholds:\n    - {{metric: category_accuracy, at_least: {value}}}\n")
    with pytest.raises(ConfigError, match=r"gates\.latency\.at_most"):
        read(tmp_path, gates(f"latency: {{at_most: {value}}}"))
    with pytest.raises(ConfigError, match=r"gates\.thresholds\.0\.min_rows"):
        read(
            tmp_path,
            f"gates: {{thresholds: [{{metric: category_accuracy, at_least: 0.9, min_rows: {value or '-1'}}}]}}",
        )
    with pytest.raises(ConfigError, match=r"unattended\.min_rows"):
        read(tmp_path, gates("") + f"unattended: {{min_rows: {value}}}\n")
    with pytest.raises(ConfigError, match=r"challenger\.improvement"):
        read(tmp_path, gates("") + f"challenger: {{improvement: {value}}}\n")


@pytest.mark.parametrize(
    "section", ["class_floors", "latency", "cost", "failure_rate", "label_flip_rate", "end_of_life"]
)
def test_a_gate_that_is_named_without_settings_is_an_error(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match=rf"'gates.{section}'.*needs its settings"):
        read(tmp_path, gates(f"{section}:"))
