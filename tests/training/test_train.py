import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.errors import ConfigError, DataError
from agent.labels import LabelSet
from agent.local_model import MANIFEST, load_local_model
from eval.labeled_set import LabeledSet
from training.config import TrainingConfig
from training.train import is_up_to_date, train

COMMAND = [sys.executable, "-m", "serving.cli", "train"]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_input_gives_the_same_bytes_in_another_process(
    workspace: Path, small_training_file: Path, local_model: Path
) -> None:
    command = [*COMMAND, "--data", str(small_training_file), "--out", "again"]
    subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "3"}, check=True, capture_output=True)
    assert folder_bytes(workspace / "again") == folder_bytes(local_model)


def test_up_to_date_means_same_data_settings_labels_and_undamaged_files(
    local_model: Path, small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    assert is_up_to_date([small_training_set], local_model, training_config, labels)
    fewer = small_training_set._replace(digest="other")
    assert not is_up_to_date([fewer], local_model, training_config, labels)
    reseeded = training_config.model_copy(update={"seed": 8})
    assert not is_up_to_date([small_training_set], local_model, reseeded, labels)
    assert not is_up_to_date([small_training_set], tmp_path, training_config, labels)


def test_one_kind_of_label_trains_one_task_and_two_files_train_both(
    small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    only = {
        task: small_training_set._replace(
            rows=tuple(row._replace(gold={task: row.gold[task]}) for row in small_training_set.rows),
            digest=f"{task} labels only",
        )
        for task in ("category", "sentiment")
    }
    train([only["category"]], tmp_path / "one", training_config, labels)
    assert set(load_local_model(tmp_path / "one").tasks) == {"category"}
    report = train([only["category"], only["sentiment"]], tmp_path / "both", training_config, labels)
    assert [task.task for task in report.tasks] == ["category", "sentiment"]
    assert {task.rows for task in report.tasks} == {len(small_training_set.rows)}


def test_cross_validation_is_better_than_chance_and_probabilities_are_calibrated(
    small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    category, sentiment = train([small_training_set], tmp_path, training_config, labels).tasks
    assert category.accuracy > 0.5
    assert sentiment.accuracy > 0.6
    assert category.log_loss < 1.5
    assert 0 < category.accuracy_sd < 0.2


def test_too_few_articles_of_a_label_are_named(
    small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    sports = [row for row in small_training_set.rows if row.gold["category"] == "Sports"]
    health = [row for row in small_training_set.rows if row.gold["category"] == "Health"][:2]
    with pytest.raises(DataError, match="'Health' has 2 articles; at least 5"):
        train([small_training_set._replace(rows=(*sports, *health))], tmp_path / "m", training_config, labels)
    with pytest.raises(DataError, match="all articles have the category 'Sports'"):
        train([small_training_set._replace(rows=tuple(sports))], tmp_path / "m", training_config, labels)
    assert not (tmp_path / "m").exists()


def test_a_killed_training_leaves_the_old_model_whole_and_the_next_one_works(
    workspace: Path, small_training_file: Path
) -> None:
    command = [*COMMAND, "--data", str(small_training_file), "--out", "model"]
    subprocess.run(command, check=True, capture_output=True)
    before = folder_bytes(workspace / "model")
    for delay in (2.0, 3.0, 4.0):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        load_local_model(workspace / "model")
        assert (workspace / "model" / MANIFEST).read_bytes() == before[MANIFEST]
    subprocess.run(command, check=True, capture_output=True)
    assert folder_bytes(workspace / "model") == before


def test_training_removes_only_files_of_its_own(
    small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    """Regression: every .npz and .part file of the folder was removed."""
    for name in ("mydata.npz", "movie.part", "category-0123456789ab.npz"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    train([small_training_set], tmp_path, training_config, labels)
    left = {path.name for path in tmp_path.iterdir()}
    assert {"mydata.npz", "movie.part"} < left
    assert "category-0123456789ab.npz" not in left


def test_settings_that_scikit_learn_refuses_and_data_given_twice_are_named(
    small_training_set: LabeledSet, training_config: TrainingConfig, labels: LabelSet, tmp_path: Path
) -> None:
    for params in ({"alpha": -1}, {"alhpa": 1}):
        wrong = training_config.model_copy(
            update={"category": training_config.category.model_copy(update={"params": params})}
        )
        with pytest.raises(ConfigError, match="category pipeline cannot be trained"):
            train([small_training_set], tmp_path / "m", wrong, labels)
    with pytest.raises(DataError, match="given twice"):
        train([small_training_set, small_training_set], tmp_path / "m", training_config, labels)
    assert not (tmp_path / "m").exists()
