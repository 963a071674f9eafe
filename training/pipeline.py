"""Builds the scikit-learn pipeline that a task's configuration describes."""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from agent.text_features import NewsVectorizer
from training.config import TaskConfig

CLASSIFIERS: Mapping[str, Callable[..., ClassifierMixin]] = {
    "complement_nb": ComplementNB,
    "logistic_regression": LogisticRegression,
}


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
