"""The command line as a person uses it: real processes, exit codes, one-line errors, nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.conftest import ROOT

SAMPLE = ROOT / "data" / "sample_news.json"


def command(*arguments: object, **more: object) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "serving.cli", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, **more)  # type: ignore[call-overload]


@pytest.fixture
def project(workspace: Path, small_training_file: Path) -> Path:
    """A working directory as after `git clone`, with fewer training articles."""
    (workspace / "data").mkdir()
    shutil.copy(small_training_file, workspace / "data" / "training_news.jsonl")
    shutil.copy(SAMPLE, workspace / "data")
    gates = workspace / "config" / "gates.yaml"
    gates.write_text(
        gates.read_text(encoding="utf-8").replace("0.90}", "0.50}").replace("0.8", "0.3"), encoding="utf-8"
    )
    return workspace


def test_the_main_job_from_nothing_then_again(project: Path) -> None:
    first = command("run", "--data", "data/sample_news.json")
    assert first.returncode == 0, first.stderr
    assert "version 1: alias champion" in first.stdout
    assert "make serve" in first.stdout
    again = command("run", "--data", "data/sample_news.json", "--json")
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stderr
    found = json.loads(again.stdout)
    assert found["registration"]["version"] is None
    assert found["registration"]["identical_to"] == "1"
    assert found["evaluation"]["dataset"]["rows"] == 10
    status = json.loads(command("registry", "status", "--json").stdout)
    assert status["aliases"] == {"champion": "1"}
    assert len(status["versions"]) == 1
    assert "champion" in command("registry", "status").stdout

    answer = json.loads(command("classify", "--title", "Club wins the cup final on penalties").stdout)
    assert answer["category"] == "Sports"
    rows = [{"id": n, "title": f"Club {n} wins the cup"} for n in range(2500)]
    rows[7]["title"] = " "
    (project / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = command("classify", "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 2
    assert (
        "in.jsonl: 1 articles have an error instead of labels; first line 8: title and content are both" in done.stderr
    )
    answers = [json.loads(line) for line in (project / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == list(range(2500))
    assert [answer["id"] for answer in answers if answer["error"]] == [7]


def test_a_model_of_ones_own_is_used_as_it_is_and_columns_can_be_mapped(project: Path) -> None:
    """Regression: `run` trained over a folder that held a model trained on somebody's own file."""
    shutil.copy(project / "data" / "training_news.jsonl", project / "own.jsonl")
    assert command("train", "--data", "own.jsonl", "--out", "models/local-sklearn").returncode == 0
    before = (project / "models" / "local-sklearn" / "manifest.json").read_bytes()
    done = command("run", "--data", "data/sample_news.json")
    assert done.returncode == 0, done.stderr
    assert "trained on own.jsonl; it is used as it is" in done.stderr
    assert (project / "models" / "local-sklearn" / "manifest.json").read_bytes() == before
    (project / "in.csv").write_text("nr,head,body\n1,Club wins the cup,Fans sang.\n", encoding="utf-8")
    unmapped = command("classify", "in.csv", "-o", "out.jsonl")
    assert unmapped.returncode == 2
    assert "no title or content among nr, head, body" in unmapped.stderr
    mapped = command(
        "classify", "in.csv", "-o", "out.jsonl", "--map", "id=nr", "--map", "title=head", "--map", "content=body"
    )
    assert mapped.returncode == 0, mapped.stderr
    answer = json.loads((project / "out.jsonl").read_text(encoding="utf-8"))
    assert (answer["id"], answer["category"]) == ("1", "Sports")


def test_gates_that_say_no_give_exit_code_one_and_no_alias(project: Path) -> None:
    gates = project / "config" / "gates.yaml"
    gates.write_text("gates: {thresholds: [{metric: category_accuracy, at_least: 1.01}]}\n", encoding="utf-8")
    done = command("run", "--data", "data/sample_news.json")
    assert done.returncode == 1, done.stderr
    assert "FAIL  category_accuracy" in done.stdout
    assert "no alias" in done.stdout
    assert json.loads(command("registry", "status", "--json").stdout)["aliases"] == {}


def test_no_register_and_approval_without_a_terminal(project: Path) -> None:
    done = command("run", "--data", "data/sample_news.json", "--no-register")
    assert done.returncode == 0
    assert "Not registered" in done.stdout
    refused = command("registry", "register", "--require-approval", stdin=subprocess.DEVNULL)
    assert refused.returncode == 1
    assert "no terminal" in refused.stderr
    assert json.loads(command("registry", "status", "--json").stdout)["aliases"] == {}


WRONG = [
    (["run", "--data", "nowhere.jsonl"], ["nowhere.jsonl", "cannot be read"]),
    (["run", "--data", "empty.jsonl"], ["empty.jsonl", "no articles"]),
    (["run", "--agent", "config/agents/misspelt.yaml"], ["misspelt.yaml", "'provder'", "Allowed"]),
    (["eval", "run", "--data", "data/sample_news.json"], ["No trained model", "news-classifier train"]),
    (["eval", "run", "--data", "wrong.jsonl"], ["wrong.jsonl: line 1", "'category'", "'Weather'", "allowed"]),
    (["train", "--data", "wrong.jsonl"], ["wrong.jsonl: line 1", "'Weather'"]),
    (["run", "--gates", "bad_gates.yaml"], ["bad_gates.yaml", "'gates.thresholds.0.metrc'", "metric"]),
    (["run", "--map", "category"], ["'category' is not of the form key=value"]),
    (["registry", "register", "no-such-run"], ["'no-such-run'", "cannot be read"]),
    (["classify", "empty.jsonl", "-o", "out.jsonl"], ["empty.jsonl", "no articles"]),
    (["classify", "in.jsonl", "-o", "out.csv"], ["JSON", ".jsonl", "'.csv'"]),
    (["classify"], ["Give either FILE"]),
    (["run", "--track", "external"], ["OPENAI_API_KEY is not set", "config/.env"]),
    (["run", "--track", "external", "--provider", "databricks"], ["'internal-databricks'", "'internal'", "--track"]),
    (["run", "--track", "all", "--provider", "openai"], ["--track all", "choose one"]),
    (["run", "--provider", "opnai"], ["'opnai'", "anthropic, databricks, openai, sklearn"]),
    (["run", "--provider", "databricks", "--model", "databricks-dbrx-instruct"], ["retired on", "gpt-oss-20b"]),
    (["eval", "run", "--model", "no-such-model"], ["'no-such-model'", "--provider"]),
]


@pytest.mark.parametrize(("arguments", "parts"), WRONG, ids=lambda value: " ".join(value)[:50])
def test_wrong_input_is_one_line_with_exit_code_two_and_nothing_is_logged(
    project: Path, arguments: list[str], parts: list[str]
) -> None:
    (project / "empty.jsonl").touch()
    (project / "wrong.jsonl").write_text(
        '{"id": "a", "title": "t", "content": "", "category": "Weather"}', encoding="utf-8"
    )
    (project / "bad_gates.yaml").write_text("gates: {thresholds: [{metrc: a, at_least: 1}]}\n", encoding="utf-8")
    shipped = (project / "config" / "agents" / "local-sklearn.yaml").read_text(encoding="utf-8")
    if "misspelt" in str(arguments):
        misspelt = shipped.replace("provider:", "provder:")
        (project / "config" / "agents" / "misspelt.yaml").write_text(misspelt, encoding="utf-8")
    if arguments[:1] != ["run"]:
        (project / "data" / "labeled_news.jsonl").touch()
    else:
        shutil.copy(SAMPLE, project / "data" / "labeled_news.jsonl")
        (project / "data" / "labeled_news.jsonl").rename(project / "data" / "labeled_news.json")
        arguments = [*arguments, *([] if "--data" in arguments else ["--data", "data/labeled_news.json"])]
    done = command(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]
    assert "Traceback" not in done.stderr
    if (project / "mlflow.db").exists():
        client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
        assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert not (project / "out.jsonl").exists()


def test_a_store_that_is_no_database_is_named(project: Path) -> None:
    (project / "mlflow.db").write_text("just text, for long enough to have a header", encoding="utf-8")
    for arguments in (["run", "--data", "data/sample_news.json"], ["registry", "status"], ["classify", "--title", "t"]):
        done = command(*arguments)
        assert done.returncode == 2
        assert "not an SQLite database" in done.stderr


def test_no_champion_is_one_clear_line(project: Path) -> None:
    for arguments in (["classify", "--title", "Club wins"], ["serve", "local"]):
        done = command(*arguments)
        assert done.returncode == 3
        assert "champion" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", ["eval", "registry", "training", "serving"])
def test_every_package_runs_by_itself(package: str) -> None:
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0
    assert "Usage" in done.stdout
