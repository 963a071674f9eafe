import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from agent.labels import UNKNOWN, Label, LabelSet
from agent.records import ArticleError, Call, Classification
from eval.labeled_articles import LabeledArticle
from eval.metrics import TASK_METRICS, all_figures, flatten
from eval.metrics.judged import Judged
from eval.outcomes import Answer, Prediction, TaskOutcome, joint_outcome

LABELS = ("a", "b", "c", "d")


def outcome(gold: list[int], predicted: list[int], probabilities: np.ndarray | None = None) -> TaskOutcome:
    return TaskOutcome("category", LABELS, np.array(gold), np.array(predicted), probabilities)


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=100)
@given(pairs)
def test_quality_is_scikit_learns_over_the_labels_that_gold_contains(rows: list[tuple[int, int]]) -> None:
    gold, predicted = map(list, zip(*rows, strict=True))
    found = task_figures(outcome(gold, predicted))
    present = sorted(set(gold))
    for average in ("macro", "weighted"):
        expected = reference.f1_score(gold, predicted, labels=present, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected, abs=1e-12)
    assert found["macro_precision"] == pytest.approx(
        reference.precision_score(gold, predicted, labels=present, average="macro", zero_division=0), abs=1e-12
    )
    assert found["macro_recall"] == pytest.approx(
        reference.recall_score(gold, predicted, labels=present, average="macro", zero_division=0), abs=1e-12
    )
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(gold, predicted), abs=1e-12)
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        assert -1e-12 <= found[f"{name}_ci_low"] <= found[f"{name}_ci_high"] <= 1 + 1e-12


def task_figures(given: TaskOutcome) -> dict[str, float]:
    """What the metrics of a task say, as plain numbers."""
    judged = Judged(given)
    return flatten({name: figure for measure in TASK_METRICS for name, figure in measure(judged).items()})


def test_unknown_is_a_miss_and_no_class_of_its_own() -> None:
    found = task_figures(outcome([0, 0, 1, 1], [0, 4, 1, 4]))
    assert found["accuracy"] == 0.5
    assert found["macro_recall"] == 0.5
    assert found["macro_precision"] == 1.0
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert outcome([0, 0], [0, 4]).confusion.tolist()[0] == [1, 0, 0, 0, 1]


def test_joint_is_right_only_where_both_are() -> None:
    category = outcome([0, 1, 2], [0, 1, 4])
    sentiment = TaskOutcome("sentiment", ("+", "-"), np.array([0, 1, 0]), np.array([0, 0, 0]), None)
    joint = joint_outcome(category, sentiment)
    assert joint.labels[:3] == ("a / +", "a / -", "b / +")
    assert (joint.gold == joint.predicted).tolist() == [True, False, False]
    assert joint.predicted[2] == len(joint.labels)


def test_probability_figures_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200)
    given = outcome(gold.tolist(), probabilities.argmax(axis=1).tolist(), probabilities)
    found = task_figures(given)
    assert found["log_loss"] == pytest.approx(reference.log_loss(gold, probabilities))
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(gold, probabilities, multi_class="ovr"))
    one_hot = np.eye(4)[gold]
    assert found["pr_auc"] == pytest.approx(
        np.mean([reference.average_precision_score(gold == label, probabilities[:, label]) for label in range(4)])
    )
    assert found["brier"] == pytest.approx(((probabilities - one_hot) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("gold", "probabilities", "missing"),
    [
        ([0, 1, 2, 3], None, {"roc_auc", "pr_auc", "log_loss", "brier", "ece"}),
        ([0, 0, 0, 0], np.eye(4), {"roc_auc", "pr_auc", "log_loss", "brier", "ece"}),
        ([0, 1, 2, 2], np.eye(4), {"roc_auc"}),
        ([0, 1, 2, 3], np.eye(4), set()),
    ],
)
def test_a_figure_of_probabilities_is_missing_where_it_means_nothing(
    gold: list[int], probabilities: np.ndarray | None, missing: set[str]
) -> None:
    found = task_figures(outcome(gold, [0, 1, 2, 3], probabilities))
    assert {"roc_auc", "pr_auc", "log_loss", "brier", "ece"} - found.keys() == missing


def test_ten_copies_of_every_article_are_as_uncertain_as_the_articles() -> None:
    """Wilson's interval of 400 articles would be a third as wide; here it is that of 40, wider for few stories only."""
    gold, predicted = [0, 1, 2, 3] * 10, [0, 1, 2, 4] * 10
    alone = task_figures(outcome(gold, predicted))
    copies = outcome(gold * 10, predicted * 10)
    copied = task_figures(copies._replace(stories=np.tile(np.arange(40), 10)))
    for name in ("accuracy", "macro_f1", "precision.a", "recall.d"):
        assert copied[name] == pytest.approx(alone[name])
        assert alone[f"{name}_ci_low"] - 0.1 < copied[f"{name}_ci_low"] <= alone[f"{name}_ci_low"] + 0.001
        assert alone[f"{name}_ci_high"] - 0.001 <= copied[f"{name}_ci_high"] < alone[f"{name}_ci_high"] + 0.1
    assert "precision.d_ci_low" not in copied, "never predicted"
    assert task_figures(copies)["accuracy_ci_low"] > alone["accuracy_ci_low"] + 0.08


def test_calibration_error_of_a_published_example() -> None:
    """Ten answers at confidence .8 of which 6 are right: the gap is .2."""
    probabilities = np.tile([0.8, 0.2, 0.0, 0.0], (10, 1))
    given = outcome([0] * 6 + [1] * 4, [0] * 10, probabilities)
    assert task_figures(given)["ece"] == pytest.approx(0.2)


NAMES = LabelSet(
    categories=(Label(name="a", description="x"), Label(name="b", description="x")),
    sentiments=(Label(name="Neutral", description="x"), Label(name="Positive", description="x")),
)


def prediction(latency: float = 1.0, cost: float | None = 0.0, error: bool = False, category: str = "a") -> Prediction:
    call = Call(
        stage="classify", model="p:m", outcome="ok", latency_ms=latency, input_tokens=2, output_tokens=1, cost_usd=cost
    )
    answer = Classification(
        category=category,
        sentiment="Neutral",
        provider="p",
        model="m",
        calls=(call,),
        error=ArticleError(type="provider_error", message="down") if error else None,
    )
    return Prediction(LabeledArticle("1", "t", "", {"category": "a"}), Answer.of(answer, NAMES))


def test_run_figures() -> None:
    given = [prediction(latency, cost=0.001) for latency in (1, 2, 3, 4)] + [
        prediction(5, cost=0.001, error=True, category=UNKNOWN)
    ]
    found = flatten(all_figures([], given))
    assert found["articles"] == 5
    assert found["answered"] == 4
    assert found["failed"] == 1
    assert found["unknown_rate"] == found["error_rate"] == 0.2
    assert found["latency_ms_p50"] == 3
    assert found["latency_ms_p50_ci_low"] <= 3 <= found["latency_ms_p50_ci_high"]
    assert found["input_tokens"] == 10
    assert found["cost_usd"] == pytest.approx(0.005)
    assert found["cost_usd_per_1k"] == pytest.approx(1.25), "of answered articles, what failed is paid for too"
    assert found["cost_usd_per_million"] == pytest.approx(1250.0)


def test_one_unknown_price_makes_the_cost_missing_and_not_zero() -> None:
    found = flatten(all_figures([], [prediction(cost=0.001), prediction(cost=None)]))
    assert not [name for name in found if name.startswith("cost")]
    assert found["input_tokens"] == 4
