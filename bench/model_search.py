"""Cross-validates alternatives to the shipped training configuration, on the training set alone.

python bench/model_search.py [--data data/training_news.jsonl]
"""

import argparse
from pathlib import Path

from figures import print_table

from agent.labels import TASKS, LabelSet, Task
from agent.settings import read_settings
from eval.labeled_set import load_labeled_set
from training.config import TaskConfig, TrainingConfig, VectorizerConfig
from training.train import collect_examples, cross_validated

NO_NGRAMS = 1_000_000
"""More documents than there are: no n-gram becomes a feature."""


def alternatives(task: Task) -> dict[str, TaskConfig]:
    """What is tried for a task, by name."""
    lexicon = 0.8 if task == "sentiment" else 0.0
    bayes = {"classifier": "complement_nb", "params": {"alpha": 0.3}}
    words = VectorizerConfig(char_min_df=NO_NGRAMS, lexicon_weight=lexicon)
    found = {"complement NB, words only": TaskConfig(vectorizer=words, **bayes)}
    for weight in (0.3, 0.6, 1.0):
        features = VectorizerConfig(char_weight=weight, lexicon_weight=lexicon)
        found[f"complement NB, n-grams {weight}"] = TaskConfig(vectorizer=features, **bayes)
    features = VectorizerConfig(lexicon_weight=lexicon)
    for alpha in (0.1, 0.5, 1.0):
        params = {"alpha": alpha}
        found[f"complement NB, n-grams 0.6, alpha {alpha}"] = TaskConfig(
            vectorizer=features, classifier="complement_nb", params=params
        )
    if task == "sentiment":
        for weight in (0.0, 0.2):
            features = VectorizerConfig(lexicon_weight=weight)
            found[f"complement NB, n-grams 0.6, lexicon {weight}"] = TaskConfig(vectorizer=features, **bayes)
    params = {"C": 20, "max_iter": 300}
    features = VectorizerConfig(lexicon_weight=min(lexicon, 0.2))
    found["logistic regression, C 20"] = TaskConfig(
        vectorizer=features, classifier="logistic_regression", params=params
    )
    return found


def main() -> None:
    """Cross-validate and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("data/training_news.jsonl"))
    options = parser.parse_args()
    config = read_settings(Path("config/training.yaml"), TrainingConfig)
    dataset = load_labeled_set(options.data, read_settings(Path("config/labels.yaml"), LabelSet))
    for task in TASKS:
        examples = collect_examples([dataset], task)
        rows = []
        for name, alternative in alternatives(task).items():
            found = cross_validated(task, examples, alternative, config)
            accuracy = f"{found.accuracy:.3f} ± {found.accuracy_sd:.3f}"
            macro_f1 = f"{found.macro_f1:.3f} ± {found.macro_f1_sd:.3f}"
            rows.append((name, accuracy, macro_f1, f"{found.log_loss:.3f}"))
        title = f"{task}: {len(examples.texts):,} articles, {config.folds} folds"
        print_table(title, ("pipeline", "accuracy", "macro F1", "log loss"), rows, left=["pipeline"])


if __name__ == "__main__":
    main()
