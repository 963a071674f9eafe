from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from agent.labels import LabelSet
from agent.local_model import load_local_model
from agent.text_features import article_text
from eval.audit.confident_learning import NONE, confident_errors
from eval.labeled_set import load_labeled_set
from tests.conftest import ROOT

Integers = npt.NDArray[np.int64]


def flipped(gold: Integers, share: float, labels: int) -> Integers:
    """Places of planted errors, and the labels with them."""
    rng = np.random.default_rng(3)
    places = rng.choice(len(gold), int(share * len(gold)), replace=False)
    noisy = gold.copy()
    noisy[places] = (noisy[places] + rng.integers(1, labels, len(places))) % labels
    return noisy


def found_shares(suggested: Integers, noisy: Integers, gold: Integers) -> tuple[float, float, float]:
    """Share of the planted errors that were found, of the findings that were planted, of the right suggestions."""
    planted, found = noisy != gold, suggested != NONE
    both = planted & found
    return (both.sum() / planted.sum(), both.sum() / found.sum(), (suggested == gold)[both].mean())


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_planted_errors_are_found_with_cross_validated_probabilities(share: float) -> None:
    features, gold = make_classification(
        3000, 20, n_informative=12, n_classes=4, n_clusters_per_class=1, class_sep=3.0, flip_y=0, random_state=1
    )
    noisy = flipped(gold, share, 4)
    probabilities = cross_val_predict(LogisticRegression(max_iter=500), features, noisy, cv=5, method="predict_proba")
    found = confident_errors(probabilities, noisy)
    recall, precision, right = found_shares(found.suggested, noisy, gold)
    assert recall > 0.84
    assert precision > 0.99
    assert right > 0.99
    assert found.estimated_errors / len(gold) == pytest.approx(share, rel=0.02)


def test_planted_errors_in_the_shipped_articles_are_found_by_the_local_model(
    local_model: Path, labels: LabelSet
) -> None:
    rows = load_labeled_set(ROOT / "data" / "labeled_news.jsonl", labels).rows
    model = load_local_model(local_model).tasks["category"]
    probabilities = model.predict_proba([article_text(row.title, row.content) for row in rows])
    gold = np.array([model.labels.index(row.gold["category"]) for row in rows])
    noisy = flipped(gold, 0.1, len(model.labels))
    recall, precision, _ = found_shares(confident_errors(probabilities, noisy).suggested, noisy, gold)
    assert recall > 0.75
    assert precision > 3 * 0.1, "far better than picking at random"


def test_certain_and_right_is_never_suspect_and_a_label_without_gold_is_never_suggested() -> None:
    gold = np.array([0, 0, 1, 1])
    sure = np.eye(3)[gold]
    assert (confident_errors(sure, gold).suggested == NONE).all()
    assert confident_errors(sure, gold).estimated_errors == 0
    elsewhere = np.tile([0.1, 0.1, 0.8], (4, 1))
    assert 2 not in confident_errors(elsewhere, gold).suggested


def test_the_worked_example() -> None:
    """Thresholds .7 and .6; the third of label 0 passes only that of label 1."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4]])
    found = confident_errors(probabilities, np.array([0, 0, 0, 1, 1]))
    assert found.suggested.tolist() == [NONE, NONE, 1, NONE, NONE]
    assert found.estimated_errors == pytest.approx(1.0)
