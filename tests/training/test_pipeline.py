import numpy as np
import pytest
from scipy.special import softmax

from agent.labels import Task
from eval.labeled_set import LabeledSet
from training.config import TaskConfig, VectorizerConfig
from training.pipeline import build_pipeline, task_model
from training.train import collect_examples


@pytest.mark.parametrize("task", ["category", "sentiment"])
@pytest.mark.parametrize("classifier", ["complement_nb", "logistic_regression"])
@pytest.mark.parametrize("lexicon_weight", [0.0, 0.5])
def test_the_arrays_answer_as_the_scikit_learn_pipeline_does(
    small_training_set: LabeledSet, task: Task, classifier: str, lexicon_weight: float
) -> None:
    examples = collect_examples([small_training_set], task)
    config = TaskConfig(vectorizer=VectorizerConfig(lexicon_weight=lexicon_weight), classifier=classifier)
    pipeline = build_pipeline(config, folds=3).fit(examples.texts[:300], examples.labels[:300])
    model = task_model(pipeline)
    texts = [*examples.texts[300:400], "", "\n", "never seen: zxqj"]
    found = model.predict_proba(texts)
    # scikit-learn adds 1e-12 to the probabilities of naive Bayes before it takes their logarithm; the arrays do not
    tolerance = 5e-3 if classifier == "complement_nb" else 2e-5
    np.testing.assert_allclose(found, pipeline.predict_proba(texts), atol=tolerance)
    assert [model.labels[index] for index in found.argmax(axis=1)] == list(pipeline.predict(texts))
    assert list(model.labels) == list(pipeline.classes_)


def test_the_arrays_are_exactly_the_temperature_scaled_classifier(small_training_set: LabeledSet) -> None:
    examples = collect_examples([small_training_set], "category")
    pipeline = build_pipeline(TaskConfig(classifier="complement_nb"), folds=3).fit(examples.texts, examples.labels)
    calibrated = pipeline.named_steps["classifier"].calibrated_classifiers_[0]
    features = pipeline.named_steps["features"].transform(examples.texts[:100])
    logits = calibrated.calibrators[0].beta_ * calibrated.estimator.predict_joint_log_proba(features)
    np.testing.assert_allclose(
        task_model(pipeline).predict_proba(examples.texts[:100]), softmax(logits, axis=1), atol=2e-5
    )


def test_two_labels_work_with_either_classifier(small_training_set: LabeledSet) -> None:
    examples = collect_examples([small_training_set], "sentiment")
    chosen = [n for n, label in enumerate(examples.labels) if label != "Neutral"]
    texts, labels = ([values[n] for n in chosen] for values in (examples.texts, examples.labels))
    for classifier in ("complement_nb", "logistic_regression"):
        pipeline = build_pipeline(TaskConfig(classifier=classifier), folds=3).fit(texts, labels)
        found = task_model(pipeline).predict_proba(texts[:50])
        np.testing.assert_allclose(found, pipeline.predict_proba(texts[:50]), atol=5e-3)
