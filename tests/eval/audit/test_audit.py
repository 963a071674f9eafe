import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from agent.labels import LabelSet
from eval.commands import commands
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.runner import evaluate
from tests.conftest import write_jsonl
from tests.eval.category_runs import LABELS, gold_labels, log_run, with_mistakes

ROWS = 30
HOSTILE = '=HYPERLINK("http://x")\x1b[2J[bold]'

pytestmark = pytest.mark.usefixtures("store")


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["audit", *map(str, arguments)])


def found_by(*arguments: object) -> dict[str, object]:
    done = audit("--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def sure_of(labels: Sequence[str], share: float = 0.9) -> list[dict[str, float]]:
    return [{name: share if name == label else (1 - share) / 2 for name in LABELS} for label in labels]


def labelled_file(path: Path, gold: Sequence[str], title: str = "A title") -> Path:
    return write_jsonl(
        path,
        [
            {"id": f"a{place}", "title": title, "content": f"Text {place}.", "category": label}
            for place, label in enumerate(gold)
        ],
    )


def test_labels_that_most_candidates_contradict_are_suspects(workspace: Path) -> None:
    gold = gold_labels(ROWS)
    log_run("gpt", "external", with_mistakes(gold, [0, 1, 2]))
    log_run("claude", "external", with_mistakes(gold, [0, 1, 9]))
    log_run("llama", "internal", with_mistakes(gold, [0, 7]))
    found = found_by()
    suspects = found["suspects"]
    assert [(one["id"], one["votes"], one["suggested"]) for one in suspects] == [  # type: ignore[index,attr-defined]
        ("a0", 3, "Sports"),
        ("a1", 2, "Science"),
    ]
    rows = list(csv.DictReader((workspace / "label_audit.csv").open(encoding="utf-8")))
    assert [(row["id"], row["gold"], row["suggested"], row["votes"], row["corrected"]) for row in rows] == [
        ("a0", "Politics", "Sports", "3", ""),
        ("a1", "Sports", "Science", "2", ""),
    ]


def test_unknown_and_different_other_labels_are_no_agreement() -> None:
    gold = gold_labels(ROWS)
    unknown = ["Unknown", *gold[1:]]
    for agent in ("gpt", "claude"):
        log_run(agent, "external", unknown)
    assert found_by("--out", "one.csv")["suspects"] == []
    log_run("gpt", "external", with_mistakes(gold, [0]))
    log_run("claude", "external", ["Science", *gold[1:]])
    assert found_by("--out", "two.csv")["suspects"] == []


def test_the_ranking_with_and_without_the_suspects() -> None:
    """claude follows the wrong gold labels that the other three do not; on the rest it is the worst."""
    gold = gold_labels(ROWS)
    log_run("claude", "external", with_mistakes(gold, [20, 21]))
    for agent in ("gpt", "gemini", "llama"):
        log_run(agent, "external", with_mistakes(gold, [0, 1, 2]))
    found = found_by()
    ranks = {one["name"]: (one["rank"], one["rank_without"]) for one in found["ranking"]}  # type: ignore[attr-defined,index]
    assert ranks == {"claude": (1, 4), "gpt": (2, 1), "gemini": (2, 1), "llama": (2, 1)}
    assert found["ranking_changes"] is True
    shown = audit("--out", "other.csv")
    assert "by category accuracy changes" in shown.output
    assert "claude: 0.933 (1), without 0.926 (4)" in shown.output


def test_the_local_model_alone_is_heard_by_its_probabilities() -> None:
    gold = gold_labels(ROWS)
    said = with_mistakes(gold, [4])
    log_run("linear", "local", said, probabilities=sure_of(said))
    found = found_by()
    [suspect] = found["suspects"]  # type: ignore[misc]
    assert (suspect["id"], suspect["confidence"], suspect["reasons"]) == ("a4", 0.9, ["confident learning"])
    assert found["estimated_errors"] == {"category": pytest.approx(1.0)}
    assert found["ranking_changes"] is False


def test_what_one_model_alone_suspects_does_not_lift_that_model() -> None:
    gold = gold_labels(ROWS)
    said = with_mistakes(gold, [4, 5, 6])
    log_run("linear", "local", said, probabilities=sure_of(said))
    log_run("gpt", "external", with_mistakes(gold, [9]))
    log_run("claude", "external", with_mistakes(gold, [10, 11]))
    found = found_by()
    assert {one["id"] for one in found["suspects"]} == {"a4", "a5", "a6"}  # type: ignore[attr-defined,index]
    assert found["ranking_changes"] is False


def test_what_a_real_evaluation_logs_can_be_audited(agent_config: AgentConfig, sample_set: LabeledSet) -> None:
    evaluate(agent_config, sample_set)
    found = found_by("--data", sample_set.path)
    assert set(found["estimated_errors"]) == {"category", "sentiment"}  # type: ignore[call-overload]
    assert found["dataset"]["digest"] == sample_set.digest  # type: ignore[index]


def test_hostile_articles_are_inert_in_the_file_and_on_the_terminal(workspace: Path, labels: LabelSet) -> None:
    gold = gold_labels(ROWS)
    key = f"sk-{'leak' * 5}"
    rows = [
        {"id": f"={place}", "title": HOSTILE, "content": f"@SUM(1) {key}\x1b]0;x\x07", "category": label}
        for place, label in enumerate(gold)
    ]
    data = write_jsonl(workspace / "set.jsonl", rows)
    digest = load_labeled_set(data, labels).digest
    for agent in ("gpt", "claude"):
        ids = [str(row["id"]) for row in rows]
        log_run(agent, "external", with_mistakes(gold, [3]), digest=digest, ids=ids, titles=[HOSTILE] * ROWS)
    shown = audit("--data", data)
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "[bold]" in shown.output
    [row] = csv.DictReader((workspace / "label_audit.csv").open(encoding="utf-8", newline=""))
    assert {row["id"], row["title"][:2], row["content"][:5]} == {"'=3", "'=", "'@SUM"}
    raw = (workspace / "label_audit.csv").read_text(encoding="utf-8")
    assert not {"\x1b", "\x07"} & set(raw)
    assert key not in raw
    assert audit("--data", data, "--out", "audit.jsonl").exit_code == 0
    assert json.loads((workspace / "audit.jsonl").read_text(encoding="utf-8"))["gold"] == "Politics"
    filled = raw.replace("claude", "").rstrip().removesuffix(",") + ",Science\n"
    (workspace / "filled.csv").write_text(filled, encoding="utf-8")
    done = audit("--apply", "filled.csv", "--data", data, "--out", "new.jsonl")
    assert done.exit_code == 0, done.output
    after = load_labeled_set(workspace / "new.jsonl", labels)
    assert [row.gold["category"] for row in after.rows] == [*gold[:3], "Science", *gold[4:]]
    assert [row.article for row in after.rows] == [row.article for row in load_labeled_set(data, labels).rows]


def test_another_labelled_set_gives_no_text(workspace: Path) -> None:
    gold = gold_labels(ROWS)
    for agent in ("gpt", "claude"):
        log_run(agent, "external", with_mistakes(gold, [3]))
    shown = audit("--data", labelled_file(workspace / "set.jsonl", gold))
    assert "titles only" in shown.stderr
    [row] = csv.DictReader((workspace / "label_audit.csv").open(encoding="utf-8"))
    assert (row["title"], row["content"]) == ("a3", "")


def test_a_file_with_corrections_is_not_overwritten(workspace: Path) -> None:
    gold = gold_labels(ROWS)
    for agent in ("gpt", "claude"):
        log_run(agent, "external", with_mistakes(gold, [3]))
    (workspace / "label_audit.csv").write_text("mine", encoding="utf-8")
    refused = audit()
    assert refused.exit_code == 2
    assert "exists" in refused.stderr
    assert (workspace / "label_audit.csv").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a0", "task": "category", "gold": "Politics", "corrected": "Weather"}, "'Weather'; allowed: Politics"),
        ({"id": "a99", "task": "category", "gold": "Politics", "corrected": "Sports"}, "no article 'a99'"),
        ({"id": "a0", "task": "sentiment", "gold": "Neutral", "corrected": "Positive"}, "'sentiment'"),
        ({"id": "a0", "task": "category", "gold": "Sports", "corrected": "Science"}, "not 'Sports'"),
    ],
)
def test_a_correction_that_does_not_fit_is_named(workspace: Path, row: dict[str, object], said: str) -> None:
    data = labelled_file(workspace / "set.jsonl", gold_labels(ROWS))
    write_jsonl(workspace / "filled.jsonl", [{"id": "a1", "corrected": ""}, row])
    refused = audit("--apply", "filled.jsonl", "--data", data, "--out", "new.jsonl")
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "filled.jsonl: line 2" in refused.stderr
    assert not (workspace / "new.jsonl").exists()


def test_wrong_input_is_refused(store: MlflowClient) -> None:
    assert "no complete evaluation" in audit().stderr
    gpt = log_run("gpt", "external", gold_labels(ROWS)).run_id
    other = log_run("claude", "external", gold_labels(ROWS), digest="d2").run_id
    bare = log_run("llama", "internal", gold_labels(ROWS), predictions=False).run_id
    silent = log_run("linear", "local", gold_labels(ROWS)).run_id
    for arguments, said in (
        ([gpt], "agrees with nobody"),
        ([gpt, other], "other articles"),
        ([gpt, bare], "predictions.csv"),
        ([gpt, silent], "predictions.json"),
        ([gpt, "no-such-run"], "no-such-run"),
        ([gpt, "--out", "audit.xlsx"], ".xlsx"),
        ([gpt, "--apply", "x.csv"], "--apply takes no RUN"),
    ):
        refused = audit(*arguments)
        assert refused.exit_code == 2, arguments
        assert said in refused.stderr
