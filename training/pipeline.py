"""Builds the scikit-learn pipeline of a task, and turns a fitted one into the plain arrays that answer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from agent.local_model import TaskModel
from training.config import TaskConfig
from training.vectorizer import NewsVectorizer

Floats = npt.NDArray[np.float64]

CLASSIFIERS: Mapping[str, Callable[..., ClassifierMixin]] = {
    "complement_nb": ComplementNB,
    "logistic_regression": LogisticRegression,
}
"""Linear classifiers only: `linear_weights` must know how to read them."""


def build_pipeline(config: TaskConfig, folds: int) -> Pipeline:
    """An unfitted pipeline: vectorizer, then a classifier whose probabilities are calibrated by temperature scaling.

    Temperature scaling keeps the ranking of the classes, so it cannot change a label.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    classifier = CLASSIFIERS[config.classifier](**config.params)
    return Pipeline(
        [
            ("features", NewsVectorizer(**vectorizer_arguments(config))),
            ("classifier", CalibratedClassifierCV(classifier, method="temperature", cv=folds, ensemble=False)),
        ]
    )


def vectorizer_arguments(config: TaskConfig) -> dict[str, Any]:
    """Arguments of the vectorizer, with the lexicon itself where it has a weight."""
    arguments = config.vectorizer.model_dump()
    if config.vectorizer.lexicon_weight:
        arguments["lexicon"] = valence_lexicon()
    return arguments


def valence_lexicon() -> dict[str, float]:
    """Single words of the VADER lexicon with their mean valence, -4 (bad) to 4 (good).

    Source: Hutto and Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text,
    ICWSM 2014.
    """
    return {word: valence for word, valence in SentimentIntensityAnalyzer().lexicon.items() if word.isalpha()}


def task_model(pipeline: Pipeline) -> TaskModel:
    """A fitted pipeline as features, weights and intercepts that give the same probabilities."""
    calibrated = pipeline.named_steps["classifier"].calibrated_classifiers_[0]
    weights, intercepts = linear_weights(calibrated.estimator)
    inverse_temperature = calibrated.calibrators[0].beta_
    return TaskModel(
        features=pipeline.named_steps["features"].features_,
        labels=tuple(map(str, pipeline.classes_)),
        weights=np.ascontiguousarray(inverse_temperature * weights, dtype=np.float32),
        intercepts=np.asarray(inverse_temperature * intercepts, dtype=np.float32),
    )


def linear_weights(classifier: ClassifierMixin) -> tuple[Floats, Floats]:
    """Weights, shape (features, labels), and intercepts, shape (labels,), whose softmax is the classifier's answer."""
    if isinstance(classifier, ComplementNB):
        return classifier.feature_log_prob_.T, np.zeros(len(classifier.classes_))
    if len(classifier.classes_) == 2:  # scikit-learn keeps one row; calibration reads it as the logits (-x, x)
        return np.hstack([-classifier.coef_.T, classifier.coef_.T]), np.array([-1.0, 1.0]) * classifier.intercept_
    return classifier.coef_.T, classifier.intercept_
