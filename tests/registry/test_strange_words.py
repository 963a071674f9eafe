"""Words that people and articles bring along: they are shown as text, stand in cards as text, and choose nothing."""

import json
from collections.abc import Callable

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from agent.errors import RegistryError
from registry.card import BEGIN, END
from registry.promotion import Consent, Promoter
from registry.rollback import rollback
from registry.verify import verify
from registry.versions import EVIDENCE_TAG, REGISTERED_AS_TAG
from serving.cli import main
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.test_register import GATES, aliases, history, register

NAME = "news_classifier"
ESCAPES = "\x1b[2J\x1b[31mAll \x1b]0;gates\x07 passed\x9b\u202e"
Run = Callable[..., Result]


@pytest.fixture
def run(store: MlflowClient) -> Run:
    return lambda *words: CliRunner().invoke(main, ["registry", *words])


def promote(reason: str, by: str = "Ann") -> None:
    promoter = Promoter(MlflowClient(), GATES, unexpected)
    promoter.promote(promoter.review(), Consent(by, "hash", reason))


def description(number: str) -> str:
    return str(MlflowClient().get_model_version(NAME, number).description)


def test_nothing_that_is_shown_moves_a_cursor(run: Run) -> None:
    register(log_evaluation(0.91))
    challenger = log_evaluation(0.96, name=f"candidate {ESCAPES}")
    predictions = mlflow.artifacts.load_text(f"runs:/{challenger.run_id}/predictions.csv")
    header, first, *rest = predictions.split("\n")
    columns = dict(zip(header.split(","), first.split(","), strict=True)) | {"title": ESCAPES}
    with mlflow.start_run(run_id=challenger.run_id):
        mlflow.log_text("\n".join([header, ",".join(columns.values()), *rest]), "predictions.csv")
    register(challenger)
    shown = [run("review"), run("status"), run("verify")]
    promote(f"looks right {ESCAPES}", by=f"Ann {ESCAPES}")
    MlflowClient().set_model_version_tag(NAME, "2", "dataset_digest", ESCAPES)
    shown += [
        run("history"),
        run("status"),
        run("verify"),
        run("promote", "--approve", "x", "--approver", "A", "--reason", "b"),
    ]
    assert sum("passed" in result.output for result in shown) >= 4
    for result in shown:
        assert not {character for character in result.output if not character.isprintable()} - {"\n"}, result.output


@pytest.mark.parametrize(
    "words",
    [
        f"fine {END} <script>alert(1)</script>",
        f"fine {BEGIN} twice",
        "fine\n- 2026-01-01: promote by the board (terminal): approved",
        "fine ![x](http://tracker.example/x.png) | [y](http://y.example) `z`",
    ],
)
def test_words_in_a_card_are_text_and_stay_inside_it(store: MlflowClient, words: str) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote(words)
    rollback(MlflowClient(), Consent("Ann", "terminal", words), "1")
    rollback(MlflowClient(), Consent("Ann", "terminal", words), "2")
    card = description("2")
    assert card.startswith(BEGIN)
    assert card.endswith(END)
    assert (card.count(BEGIN), card.count(END)) == (1, 1)
    assert "<script" not in card
    assert card.count("[") == card.count("\\[")
    assert "\n- 2026-01-01" not in card
    assert history().entries[-1].reason == words
    assert verify(MlflowClient()) == []


def test_a_card_stays_short_however_often_there_is_a_decision(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote("x" * 1000)
    for number in "12" * 6:
        rollback(MlflowClient(), Consent("Ann", "terminal", "y" * 1000), number)
    assert len(description("2")) < 4000
    assert "rollback by Ann" in description("2")
    assert verify(MlflowClient()) == []


def test_a_tag_overrides_no_gate_for_the_champion(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    bad = log_evaluation(0.70)
    tags = {REGISTERED_AS_TAG: "champion", "validation_reason": "override: says who"}
    MlflowClient().create_model_version(NAME, bad.model_uri, run_id=bad.run_id, tags=tags)
    register(log_evaluation(0.92))
    assert aliases() == {"champion": "1", "candidate": "3"}


def test_a_tag_chooses_no_file(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    MlflowClient().set_model_version_tag(NAME, "2", EVIDENCE_TAG, "../evaluation")
    with pytest.raises(RegistryError, match="names no evidence"):
        Promoter(MlflowClient(), GATES, unexpected).review()


def test_files_of_another_model_than_was_measured_are_never_promoted(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    good, other = log_evaluation(0.96), log_evaluation(0.70)
    tags = {REGISTERED_AS_TAG: "challenger"}
    MlflowClient().create_model_version(NAME, other.model_uri, run_id=good.run_id, tags=tags)
    register(log_evaluation(0.92))
    assert aliases() == {"champion": "1", "candidate": "3"}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "\udcff"])
def test_a_reason_that_says_nothing_or_is_cut_is_refused(run: Run, reason: str) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    shown = json.loads(run("review", "--json").stdout)["hash"]
    done = run("promote", "--approve", shown, "--approver", "Ann", "--reason", reason)
    assert done.exit_code == 2, done.output
    assert run("rollback", "--yes", "--reason", reason).exit_code in (1, 2)
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_a_secret_in_a_reason_stays_out_of_the_history(store: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "correct-horse-battery")
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    promote("works with correct-horse-battery")
    assert history().entries[-1].reason == "works with [redacted]"
