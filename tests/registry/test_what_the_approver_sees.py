"""How many candidates were tried is said wherever the best of them could be taken for better than it is."""

from pathlib import Path

from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from registry.promotion import Promoter
from registry.review_page import chosen_line
from serving.cli import main
from tests.registry.evaluations import log_evaluation, unexpected
from tests.registry.test_register import GATES, aliases, history, register

LUCK = "the same rows were used to choose"


def chosen() -> str:
    return chosen_line(Promoter(MlflowClient(), GATES, unexpected).review())


def test_one_candidate_was_not_chosen_among_several(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    assert LUCK not in chosen()


def test_the_better_of_two_was_chosen(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.92))
    register(log_evaluation(0.96))
    assert chosen().startswith("compared with this champion on these rows: 2;")
    assert LUCK in chosen()


def test_an_unattended_promotion_records_that_others_were_measured_and_not_registered(store: MlflowClient) -> None:
    register(log_evaluation(0.91, model="a"))
    for model in "bcd":
        log_evaluation(0.93, model=model)
    register(log_evaluation(0.96, model="e"))
    assert CliRunner().invoke(main, ["registry", "promote", "--yes", "--reason", "nightly"]).exit_code == 0
    said = history().entries[-1].reason
    assert said.startswith("nightly; ")
    assert "candidates measured on them in all: 5" in said
    assert LUCK in said


def test_other_gates_than_at_the_registration_are_said_and_need_a_person(store: MlflowClient) -> None:
    register(log_evaluation(0.91))
    register(log_evaluation(0.96))
    Path("weak.yaml").write_text("gates: {thresholds: [{metric: category_accuracy, at_least: 0.1}]}\n")
    weak = ["registry", "promote", "--yes", "--gates", "weak.yaml"]
    done = CliRunner().invoke(main, weak)
    assert done.exit_code == 1
    assert "the gates are others than those that it was registered under" in done.stdout
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert CliRunner().invoke(main, ["registry", "promote", "--yes"]).exit_code == 0
