"""`news-classifier registry`, as a person or a scheduler types it."""

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from agent.settings import read_settings
from registry.gates.config import GatesConfig
from registry.register import register
from serving.cli import main
from tests.conftest import ROOT
from tests.registry.evaluations import log_evaluation, unexpected

RULES = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
Run = Callable[..., Result]


@pytest.fixture
def run(store: MlflowClient) -> Run:
    """Types a registry command without a terminal, in a registry with a champion and a better challenger."""
    for accuracy in (0.91, 0.96):
        register(log_evaluation(accuracy), RULES, remeasure=unexpected)
    return lambda *words: CliRunner().invoke(main, ["registry", *words])


def aliases() -> dict[str, str]:
    found = MlflowClient().get_registered_model("news_classifier").aliases
    return {alias: str(number) for alias, number in found.items()}


def test_without_a_terminal_nobody_decides(run: Run) -> None:
    done = run("promote")
    assert done.exit_code == 1
    assert "There is no terminal to ask on" in done.stderr
    assert "[3/5] Side by side on set.jsonl (400 articles, digest d1" in done.stdout
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_what_a_review_shows_is_approved_by_its_hash_once(run: Run) -> None:
    shown = run("review")
    found = json.loads(run("review", "--json").stdout)
    assert found["hash"] in shown.stdout
    assert found["after"] == {"champion": "2", "defeated": "1"}
    assert "category: better, +5.00 points of accuracy" in shown.stdout
    assert len(found["label_changes"]) == 5
    words = ("promote", "--approve", found["hash"], "--approver", "Ann", "--reason", "better beyond chance")
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "[4/5] Approved by Ann (hash): better beyond chance" in done.stdout
    assert "[5/5] Moved: defeated is version 1; champion is version 2; the alias challenger is removed." in done.stdout
    assert aliases() == {"champion": "2", "defeated": "1"}
    again = run(*words)
    assert again.exit_code == 1
    assert "There is no challenger" in again.stderr


def test_another_hash_is_refused(run: Run) -> None:
    done = run("promote", "--approve", "0" * 64, "--approver", "Ann", "--reason", "x")
    assert done.exit_code == 1
    assert "is not what would be promoted now" in done.stderr
    assert aliases() == {"champion": "1", "challenger": "2"}


@pytest.mark.parametrize(
    "words",
    [
        ("--approve", "a"),
        ("--approve", "a", "--approver", "Ann"),
        ("--yes", "--approve", "a"),
        ("--yes", "--gates", "x.yaml"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_read(run: Run, words: tuple[str, ...]) -> None:
    assert run("promote", *words).exit_code == 2
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_rollback_goes_back_and_says_so_everywhere(run: Run) -> None:
    assert run("promote", "--yes").exit_code == 0
    assert run("rollback").exit_code == 1
    assert run("rollback", "--yes").exit_code == 2
    unknown = run("rollback", "--yes", "--reason", "slow", "--to", "7")
    assert (unknown.exit_code, "Earlier champions: 1" in unknown.stderr) == (1, True)
    done = run("rollback", "--yes", "--reason", "slow", "--approver", "Ann", "--json")
    assert json.loads(done.stdout)["champion"] == "1"
    assert aliases() == {"champion": "1", "defeated": "2"}
    entries = json.loads(run("history", "--json").stdout)["entries"]
    assert [entry["action"] for entry in entries] == ["register", "register", "promote", "rollback"]
    assert (entries[-1]["by"], entries[-1]["reason"]) == ("Ann", "slow")
    assert all(entry["outcome"]["done"] for entry in entries)
    assert "rollback by Ann (unattended): slow" in MlflowClient().get_model_version("news_classifier", "1").description
    assert "4" in run("history").stdout
    assert run("verify").stdout == "news_classifier: aliases, tags, evidence and history agree.\n"


def test_figures_of_different_articles_do_not_stand_side_by_side_unsaid(run: Run) -> None:
    """Regression: the status showed figures of 200 articles beside those of 416 others as if they could be compared."""
    same = run("status").stdout
    assert "articles" in same
    assert re.search(r"^ *2 +challenger .* 400 +0\.96", same, re.MULTILINE), same
    assert "cannot be compared" not in same
    register(
        log_evaluation(0.9, digest="d2"),
        RULES,
        remeasure=lambda uri, like: log_evaluation(0.95, digest="d2", model_uri=uri),
    )
    assert "compared between version 3 and versions 2, 1: they were measured on different" in run("status").stdout


def test_an_alias_that_was_moved_by_hand_stops_promotions_until_it_is_put_back(run: Run) -> None:
    MlflowClient().set_registered_model_alias("news_classifier", "champion", "2")
    stopped = run("promote", "--yes")
    assert stopped.exit_code == 3
    assert "champion is version 2 and should be 1" in stopped.stderr
    assert "Moved by other means" in run("status").stdout
    found = run("verify", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["findings"][0]["problem"] == "alias champion is version 2 and should be 1"
    assert run("verify", "--repair").exit_code == 0
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_a_deleted_champion_is_reported_and_its_place_is_not_taken_by_itself(run: Run) -> None:
    MlflowClient().delete_model_version("news_classifier", "1")
    found = run("verify")
    assert found.exit_code == 1
    assert "version 1 was deleted, and it was champion" in found.stdout
    later = register(log_evaluation(0.97), RULES, remeasure=unexpected)
    assert (later.alias, aliases()) == ("challenger", {"challenger": "3", "candidate": "2"})
    assert "champion version 1 is gone" in later.reason
    assert run("promote", "--yes").exit_code == 1  # nothing to compare with


def test_people_s_own_words_in_a_description_stay(run: Run) -> None:
    client = MlflowClient()
    card = client.get_model_version("news_classifier", "2").description
    client.update_model_version("news_classifier", "2", f"Ours.\n{card}\nAsk Bo.")
    assert run("promote", "--yes", "--reason", "done").exit_code == 0
    description = client.get_model_version("news_classifier", "2").description
    assert description.startswith("Ours.\n<!--")
    assert description.endswith("-->\nAsk Bo.")
    assert "promote by" in description


def test_a_version_is_exported_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    assert run("export", "2", "--out", "audit.zip").exit_code == 0
    with zipfile.ZipFile("audit.zip") as archive:
        names = archive.namelist()
        assert json.loads(archive.read("audit/version.json"))["number"] == "2"
    assert {"audit/SHA256SUMS", "audit/history.json", "audit/evaluation/predictions.csv"} <= {*names}
    assert any(name.startswith("audit/evaluation/evidence/") for name in names)
    assert any(name.startswith("audit/model/") for name in names)
    assert run("export", "2", "--out", "audit.zip").exit_code == 2
    assert run("export", "9", "--out", "other").exit_code == 2
    assert run("export", "2", "--out", "audit").exit_code == 0
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd="audit", check=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert not {name for name in left if name.startswith(".audit") or name == "other"}


@pytest.mark.parametrize(("said", "code", "champion"), [("y\nno\n", 1, "1"), ("yes\nlooks right\n", 0, "2")])
def test_a_person_at_the_terminal_decides(run: Run, said: str, code: int, champion: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.cli", "registry", "promote"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    os.write(ours, said.encode())
    shown, _ = process.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, shown
    assert "[4/5] Proceed? (type yes or no)" in shown
    assert aliases()["champion"] == champion
    last = json.loads(run("history", "--json").stdout)["entries"][-1]
    assert (last["action"], last["how"]) == ("refuse" if code else "promote", "terminal")


@pytest.mark.parametrize("words", [("review", "--for-tag", "Approval"), ("promote", "--approved-by-tag", "Approval")])
def test_a_job_goes_on_where_there_is_nobody_to_promote(store: MlflowClient, words: tuple[str, ...]) -> None:
    register(log_evaluation(0.91), RULES, remeasure=unexpected)
    runner = CliRunner()
    assert runner.invoke(main, ["registry", *words]).exit_code == 1
    done = runner.invoke(main, ["registry", *words, "--if-any"])
    assert done.exit_code == 0
    assert "There is no challenger" in done.stderr
    assert aliases() == {"champion": "1"}


def test_where_there_is_somebody_to_promote_a_job_still_waits_for_a_person(run: Run) -> None:
    assert run("review", "--if-any", "--for-tag", "Approval").exit_code == 0
    assert run("promote", "--if-any", "--approved-by-tag", "Approval").exit_code == 1
    assert aliases() == {"champion": "1", "challenger": "2"}
