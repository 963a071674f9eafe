"""What is changed between approval and move stops the move, by name; what is edited later is found."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from agent.errors import RegistryError
from eval.evaluation import LoggedEvaluation
from registry.commands import commands
from registry.gates.config import GatesConfig
from registry.promotion import Consent, Promoter, Refused, Review
from registry.rollback import rollback
from registry.verify import repair, verify
from registry.versions import EVIDENCE_TAG
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.test_register import GATES, aliases, history, register, snapshot

ANN = Consent("Ann", "hash", "looks right")
BEFORE = {"champion": "1", "challenger": "2"}


class Approved:
    """A champion and a challenger whose promotion somebody has approved, and what the approver saw."""

    def __init__(self) -> None:
        self.champion, self.challenger = log_evaluation(0.91), log_evaluation(0.96)
        register(self.champion)
        register(self.challenger)
        self.review = promoter().review()


def promoter(rules: GatesConfig = GATES) -> Promoter:
    return Promoter(MlflowClient(), rules, unexpected)


def artifact(evaluation: LoggedEvaluation, name: str) -> Path:
    return file_of_run(evaluation.run_id, name)


def file_of_run(run_id: str | None, name: str) -> Path:
    """Where it lies, not a copy."""
    return Path(local_file_uri_to_path(mlflow.get_run(run_id).info.artifact_uri)) / name


def model_file(evaluation: LoggedEvaluation, name: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(evaluation.model_uri)) / name


def change_a_byte(path: Path, place: int = -2) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def evidence_of(number: str) -> Path:
    version = next(one for one in snapshot().versions if one.number == number)
    return file_of_run(version.run_id, f"evidence/{version.tags[EVIDENCE_TAG]}.json")


def lower_a_figure(evaluation: LoggedEvaluation) -> None:
    path = artifact(evaluation, "evaluation.json")
    record = json.loads(path.read_text())
    record["metrics"]["latency_ms_p95"] = 2.9
    path.write_text(json.dumps(record))


TAMPERED: dict[str, tuple[Callable[[Approved], None], str]] = {
    "predictions of the challenger": (
        lambda world: change_a_byte(artifact(world.challenger, "predictions.csv")),
        "Version 2 is not what was registered: the predictions changed",
    ),
    "predictions of the champion": (
        lambda world: change_a_byte(artifact(world.champion, "predictions.csv")),
        "Version 1 is not what was registered: the predictions changed",
    ),
    "configuration of the challenger": (
        lambda world: change_a_byte(model_file(world.challenger, "config.yaml")),
        "Version 2 is not what was registered: the model's files changed",
    ),
    "prompt of the champion": (
        lambda world: change_a_byte(model_file(world.champion, "prompt.txt")),
        "Version 1 is not what was registered: the model's files changed",
    ),
    "a file more in the challenger's model": (
        lambda world: model_file(world.challenger, "hook.py").write_text("") and None,
        "Version 2 is not what was registered: the model's files changed",
    ),
    "evidence of the challenger": (
        lambda world: change_a_byte(evidence_of("2")),
        "evidence .* was changed after it was written",
    ),
    "evidence of the champion": (
        lambda world: change_a_byte(evidence_of("1")),
        "evidence .* was changed after it was written",
    ),
    "figures of the challenger": (
        lambda world: lower_a_figure(world.challenger),
        "Version 2 is not what was registered: the figures changed",
    ),
    "figures of the champion": (
        lambda world: lower_a_figure(world.champion),
        "Version 1 is not what was registered: the figures changed",
    ),
    "champion moved": (
        lambda world: MlflowClient().set_registered_model_alias("news_classifier", "champion", "2"),
        "champion is version 2 and should be 1",
    ),
    "another trial": (
        lambda world: register(log_evaluation(0.92)) and None,
        "register of version 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_changed_between_approval_and_move_is_named(store: MlflowClient, what: str) -> None:
    world = Approved()
    tamper, named = TAMPERED[what]
    tamper(world)
    before = aliases()
    with pytest.raises(RegistryError, match=named):
        promoter().promote(world.review, ANN)
    assert aliases() == before
    assert [entry.action for entry in history().entries if entry.action != "register"] == []


def test_other_rules_than_those_that_were_reviewed(store: MlflowClient) -> None:
    world = Approved()
    rules = GATES.model_dump(exclude_none=True)
    rules["gates"]["thresholds"][0]["at_least"] = 0.89
    with pytest.raises(Refused, match=r"evidence \(.*rules.*\) changed"):
        promoter(GatesConfig.model_validate(rules)).promote(world.review, ANN)
    assert aliases() == BEFORE


def edit_history(folder: Path, key: str, old: str, new: str) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        done = database.execute("UPDATE params SET value = replace(value, ?, ?) WHERE key = ?", (old, new, key))
        assert done.rowcount == 1
        [[value]] = database.execute("SELECT value FROM params WHERE key = ?", (key,)).fetchall()
        assert new in value


@pytest.mark.parametrize(
    ("key", "old", "new", "problem"),
    [
        ("epoch.000001", '"reason":"', '"reason":"nicely ', "epoch 1 is not the entry that was carried out"),
        ("epoch.000002", '"challenger":"2"', '"champion":"2"', "epoch 2 is not the entry that was carried out"),
        ("epoch.000002", '"action":"register"', '"action":"coronation"', "'epoch.000002' cannot be read"),
        ("outcome.000001", '"done":true', '"done":maybe', "'outcome.000001' cannot be read"),
    ],
)  # fmt: skip
def test_an_edited_history_is_found_and_stops_every_move(
    store: MlflowClient, workspace: Path, key: str, old: str, new: str, problem: str
) -> None:
    world = Approved()
    candidate = log_evaluation(0.98)
    edit_history(workspace, key, old, new)
    assert any(problem in finding.problem for finding in verify(MlflowClient()))
    moves: list[Callable[[], Any]] = [
        lambda: register(candidate),
        lambda: promoter().promote(world.review, ANN),
        lambda: rollback(MlflowClient(), ANN),
        lambda: repair(MlflowClient()),
    ]
    for move in moves:
        with pytest.raises(RegistryError, match=f"The history cannot be trusted, so nothing is moved: .*{problem}"):
            move()
    assert aliases() == BEFORE


def test_evidence_that_is_changed_later_is_found(store: MlflowClient) -> None:
    world = Approved()
    promoter().promote(world.review, ANN)
    assert verify(MlflowClient()) == []
    change_a_byte(evidence_of("1"))
    [finding] = verify(MlflowClient())
    assert finding.problem.startswith("version 1: The evidence")
    promoted = artifact(world.challenger, f"evidence/{history().entries[-1].evidence}.json")
    change_a_byte(promoted)
    assert len(verify(MlflowClient())) == 2


def test_one_article_of_ten_makes_a_challenger_and_no_unattended_champion(store: MlflowClient) -> None:
    register(log_evaluation(0.9, sentiment=1.0, rows=10, wrong=[3]))
    assert register(log_evaluation(1.0, sentiment=1.0, rows=10)).alias == "challenger"
    review: Review = promoter().review()
    assert review.evidence.by_task["category"].verdict == "underpowered"
    done = CliRunner().invoke(commands, ["promote", "--yes"])
    assert done.exit_code == 1
    assert "The evidence does not suffice without a person" in done.output
    assert aliases() == BEFORE
    approval = ["--approve", review.hash, "--approver", "Ann", "--reason", "a trial"]
    assert CliRunner().invoke(commands, ["promote", *approval]).exit_code == 0
    assert aliases() == {"champion": "2", "defeated": "1"}


def test_four_points_on_two_thousand_articles_need_no_person(store: MlflowClient) -> None:
    register(log_evaluation(0.90, rows=2000))
    assert register(log_evaluation(0.94, rows=2000)).alias == "challenger"
    done = CliRunner().invoke(commands, ["promote", "--yes"])
    assert done.exit_code == 0, done.output
    assert "category: better" in done.output
    assert aliases() == {"champion": "2", "defeated": "1"}
    assert history().entries[-1].how == "unattended"
    assert verify(MlflowClient()) == []
