"""What is read back of logged runs, whoever started them."""

from eval.labeled_set import LabeledSet
from eval.runs import candidates_measured_on
from tests.eval.logged_runs import LoggedRuns


def test_a_candidate_that_mlflow_run_started_is_the_same_candidate(runs: LoggedRuns, news: LabeledSet) -> None:
    few = LabeledSet(news.path, news.rows[:20], "d1")
    same = {"dataset_digest": "d1", "config_hash": "c", "code_hash": "k"}
    runs.log(few, right=9, params={**same, "model": "news-sklearn"})
    runs.log(few, right=9, params={**same, "model": "", "resolved.model": "news-sklearn"})
    assert candidates_measured_on("d1") == 1
    runs.log(few, right=9, params={**same, "model": "another"})
    assert candidates_measured_on("d1") == 2
