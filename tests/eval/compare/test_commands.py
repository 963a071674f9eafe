"""`eval compare` as people and build servers use it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from agent.config import AgentConfig
from eval.commands import commands
from eval.labeled_set import LabeledSet
from eval.runner import evaluate
from tests.eval.logged_runs import LoggedRuns

HOSTILE = "\x1b[2J[red]<script>alert(1)</script>|`*_$\\frac{x}$ =1+1 https://evil.example\u202e"


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["compare", *arguments])


@pytest.fixture
def few(news: LabeledSet) -> LabeledSet:
    return LabeledSet(news.path, news.rows[:40], "few")


def test_two_real_evaluations_are_the_same(
    store: MlflowClient, agent_config: AgentConfig, sample_set: LabeledSet
) -> None:
    first, second = (evaluate(agent_config, sample_set) for _ in range(2))
    done = compare("--latest", "--json", "--fail-on", "category_accuracy<0", "--fail-on", "joint_macro_f1<0")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    [run] = found["candidates"]
    assert (found["baseline"]["run_id"], run["run_id"]) == (first.run_id, second.run_id)
    assert run["against"]["rows"] == {"same_set": True, "common": 10, "baseline": 10, "candidate": 10}
    assert run["against"]["changed"] == []
    assert [one["task"] for one in run["against"]["comparisons"]] == ["category", "sentiment", "joint"]
    assert all(one["only_baseline_right"] == one["only_candidate_right"] == 0 for one in run["against"]["comparisons"])
    assert not any(result["broken"] for result in found["thresholds"])
    assert found["schema_version"] == 1
    assert "10 articles are too few to decide" in compare("--latest").stdout


def test_the_newest_of_each_candidate_stand_beside_the_local_one(runs: LoggedRuns, few: LabeledSet) -> None:
    runs.log(few, right=30)
    local = runs.log(few, right=31)
    llm = runs.log(few, right=40, agent="an-llm", track="external", figures={"cost_usd_per_1k": 0.12})
    done = compare()
    assert done.exit_code == 0, done.output
    assert f"Runs against the baseline local-sklearn {local[:8]}" in done.stdout
    assert re.search(rf"an-llm {llm[:8]} +category +better +\+\.225 \[", done.stdout)
    cost = next(line for line in done.stdout.splitlines() if "cost_usd_per_1k" in line)
    assert cost.split() == ["cost_usd_per_1k", "↓", "$0", "$0.1200", "(+$0.1200,", "worse)"]


def test_a_missing_figure_is_a_dash_and_never_zero(runs: LoggedRuns, few: LabeledSet) -> None:
    one = runs.log(few, right=30, figures={"label_flip_rate": 0.25, "cost_usd_per_1k": float("inf")})
    two = runs.log(few, right=30, figures={"cost_usd_per_1k": 0.5})
    table = compare(one, two, "--fail-on", "label_flip_rate>0").stdout
    rows = {line.split()[0]: line.split()[2:] for line in table.splitlines() if "↓" in line}
    assert rows["cost_usd_per_1k"] == ["-", "$0.5000"]
    assert rows["label_flip_rate"] == [".250", "-"]


def test_many_runs_are_rows(runs: LoggedRuns, few: LabeledSet) -> None:
    ids = [runs.log(few, right=30 + number) for number in range(6)]
    table = compare(*ids).stdout
    lines = [line.split()[:2] for line in table.splitlines() if "labeled_news.jsonl" in line]
    assert lines == [["local-sklearn", run_id[:8]] for run_id in ids]
    assert max(map(len, table.splitlines())) < 220
    assert "…" not in table


def test_thresholds_decide_the_exit_code_and_say_which_and_where(
    runs: LoggedRuns, few: LabeledSet, news: LabeledSet
) -> None:
    good, bad = runs.log(few, right=35), runs.log(few, right=20)
    kept = compare(good, bad, "--fail-on", "category_accuracy<-0.5", "--fail-on", "latency_ms_p95 > 20%")
    assert kept.exit_code == 1, "no latency was measured, so nothing can be said about it"
    assert f"Regression: latency_ms_p95 > 20% for local-sklearn ({bad}): latency_ms_p95 is missing" in kept.stderr
    assert "category_accuracy<-0.5" not in kept.stderr
    assert compare(good, bad, "--fail-on", "category_accuracy<-0.5").exit_code == 0
    assert compare(bad, good, "--fail-on", "category_accuracy<0").exit_code == 0
    done = compare(good, bad, "--json", "--fail-on", "category_accuracy<-.1", "--fail-on", "joint_accuracy<-50%")
    assert done.exit_code == 1
    assert [result["broken"] for result in json.loads(done.stdout)["thresholds"]] == [True, False]
    assert done.stderr.splitlines() == [
        f"Regression: category_accuracy<-.1 for local-sklearn ({bad}): the difference is -0.375."
    ]
    other = runs.log(LabeledSet(news.path, news.rows[20:60], "other"), right=10)
    apart = compare(good, other, "--fail-on", "category_accuracy<-.1")
    assert apart.exit_code == 1
    assert f"Rows differ from the baseline's in {other}" in apart.stderr
    assert "20 are in common, of 40 in the baseline and 40 here" in apart.stdout


def test_every_form_is_written_where_it_is_asked_for(runs: LoggedRuns, few: LabeledSet, tmp_path: Path) -> None:
    ids = [runs.log(few, right=30, tags={"ab": "x"}), runs.log(few, right=35, tags={"ab": "y"})]
    for form in ("json", "md", "html"):
        target = tmp_path / f"out.{form}"
        written = compare(*ids, "--out", str(target))
        assert (written.exit_code, written.stdout) == (0, ""), written.output
        assert f"Written: {target}" in written.stderr
        printed = compare(*ids, "--format", form).stdout
        text = target.read_text(encoding="utf-8")
        assert json.loads(text) == json.loads(printed) if form == "json" else text == printed
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "category_f1.Sports" in page, "pages have the figures that a terminal has no room for"
    assert compare("--by", "tag:ab", "--format", "md").stdout.count("\n| category&#95;accuracy") == 0
    assert json.loads(compare("--by", "track", "--json").stdout)["groups"][0]["value"] == "local"


def test_a_trend_is_a_table_bars_and_a_picture(
    runs: LoggedRuns, few: LabeledSet, news: LabeledSet, tmp_path: Path
) -> None:
    for right in (20, 30, 25):
        runs.log(few, right=right, agent="local$_{x}$")
    runs.log(LabeledSet(news.path, news.rows[:50], "other"), right=50, agent="local$_{x}$")
    done = compare("--last", "4", "local$_{x}$", "--out", str(tmp_path / "trend.png"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG")
    assert "category_accuracy ↑, labelled set 1: ▁█▅ .500 to .625" in done.stdout
    assert "measured on 2 labelled sets; only figures on the same set are comparable" in done.stdout
    assert 'src="data:image/png;base64,' in compare("--last", "2", "--format", "html").stdout
    assert len(json.loads(compare("--last", "3", "--json").stdout)["runs"]) == 3


def test_text_of_strangers_is_inert_in_every_form(
    runs: LoggedRuns, few: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    model, figures = f"{HOSTILE} very-secret-value", {f"category_f1.{HOSTILE}": 0.5}
    ids = [
        runs.log(few, right=30, figures=figures, agent=HOSTILE, model=model, tags={"ab": HOSTILE}, partial=HOSTILE)
        for _ in range(2)
    ]
    for chosen in (ids, ["--by", "tag:ab"], ["--by", "model"], ["--last", "2", HOSTILE]):
        for form in ("table", "md", "html", "json"):
            done = compare(*chosen, "--format", form)
            assert done.exit_code == 0, done.output
            assert "very-secret-value" not in done.stdout
            assert "\x1b" not in done.stdout
            assert "\u202e" not in done.stdout or form == "json", form
            if form in ("md", "html"):
                assert "<script" not in done.stdout
            if form == "md":
                assert not re.search(r"https://|\[red\]|(?<!\*)\*_|\|`", done.stdout)
            if form == "table":
                assert "[red]<script>" in done.stdout, "rich takes it for text"


WRONG = [
    ([], "no evaluation yet"),
    (["--latest"], "no evaluation yet"),
    (["--last", "3", "nobody"], "The candidate 'nobody' has no run. Candidates with runs: none"),
    (["--by", "provider"], "no evaluation yet"),
    (["only-one"], "Only run 'only-one' is given"),
    (["one", "one"], "Run 'one' is named twice"),
    (["one", "two"], "Run 'one' cannot be read"),
    (["--by", "colour"], "'colour' is nothing to group by; expected track, provider, model, or tag:KEY"),
    (["--by", "tag:"], "'tag:' is nothing to group by"),
    (["--by", "track", "--latest"], "--latest and --by do not go together"),
    (["--by", "track", "--fail-on", "category_accuracy<0"], "--fail-on needs runs and a baseline"),
    (["--fail-on", "category_accuracy=0"], "'category_accuracy=0' is no threshold; expected METRIC, then <"),
    (["--notify", "https://example.com/s3cr3t"], "Give --fail-on too"),
    (["--notify", "http://example.com/s3cr3t", "--fail-on", "a<0"], "address 1 (http) is not encrypted"),
    (["--latest", "one", "two"], "--latest takes the name of one candidate, got 2"),
    (["--last", "1"], "1 is not in the range"),
    (["--out", "trend.png"], "which only --last draws"),
    (["--out", "out.txt"], "needs --format json, md or html"),
    (["--format", "pdf"], "'pdf' is not one of"),
]


@pytest.mark.parametrize(("arguments", "problem"), WRONG, ids=lambda value: " ".join(value)[:40])
def test_wrong_input_is_one_clear_line(store: MlflowClient, arguments: list[str], problem: str) -> None:
    done = compare(*arguments)
    assert done.exit_code == 2, done.output
    assert problem in " ".join(done.stderr.split())
    assert "s3cr3t" not in done.output
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_one_run_has_nothing_beside_it(runs: LoggedRuns, few: LabeledSet, tmp_path: Path) -> None:
    only = runs.log(few, right=30)
    assert "Only 'local-sklearn' has a run" in compare().stderr
    assert f"one run only, '{only}'" in compare("--latest").stderr
    other = runs.log(few, right=30)
    assert "cannot be written" in compare(only, other, "--out", str(tmp_path / "nowhere" / "out.md")).stderr
    unknown = compare(only, other, "--fail-on", "category_acuracy<0")
    assert unknown.exit_code == 2
    assert "no metric" not in unknown.stdout
    assert "Available: " in unknown.stderr


def test_a_store_that_cannot_be_reached_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = compare()
    assert done.exit_code == 2
    assert "The MLflow store 'http://127.0.0.1:9' cannot be read" in done.stderr
    assert "Traceback" not in done.output
