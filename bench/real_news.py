"""How the local model does on real labelled news, which this repository does not hold.

    python bench/real_news.py FOLDER [--model models/local-sklearn]

FOLDER holds JSON lines with id, title, content and category: dev_eval8.jsonl (eight categories), dev_bbc.jsonl, and
dev_train8.jsonl, on which the shipped training configuration is trained as well.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from figures import print_table

from agent.errors import NewsClassifierError
from agent.labels import LabelSet
from agent.local_model import load_local_model
from agent.settings import read_settings
from agent.text_features import article_text
from eval.labeled_articles import LabeledArticle
from eval.labeled_set import LabeledSet, load_labeled_set
from eval.statistics.intervals import wilson
from training.config import TrainingConfig
from training.train import train


class Score(NamedTuple):
    """Share of right categories, and what was asked for."""

    what: str
    right: int
    total: int
    asked: float


def score(what: str, model: Path, rows: list[LabeledArticle], asked: float) -> Score:
    """Classify rows by category and count."""
    category = load_local_model(model).tasks["category"]
    texts = [article_text(row.title, row.content) for row in rows]
    predicted = np.array(category.labels)[category.predict_proba(texts).argmax(axis=1)]
    right = sum(label == row.gold["category"] for label, row in zip(predicted, rows, strict=True))
    return Score(what, right, len(rows), asked)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/local-sklearn"))
    options = parser.parse_args()
    labels = read_settings(Path("config/labels.yaml"), LabelSet)

    def load(name: str) -> LabeledSet:
        return load_labeled_set(options.folder / name, labels)

    eight, bbc = list(load("dev_eval8.jsonl").rows), list(load("dev_bbc.jsonl").rows)
    with_content = [row for row in eight if row.content]
    config = read_settings(Path("config/training.yaml"), TrainingConfig)
    with tempfile.TemporaryDirectory() as scratch:
        train([load("dev_train8.jsonl")], Path(scratch), config, labels)
        scores = [
            score("shipped model, dev_eval8 with content", options.model, with_content, 0.62),
            score("shipped model, dev_bbc", options.model, bbc, 0.72),
            score("trained on dev_train8, dev_eval8", Path(scratch), eight, 0.73),
        ]
    rows = []
    for found in scores:
        interval = wilson(found.right, found.total)
        spread = f"[{interval.low:.3f}, {interval.high:.3f}]" if interval else "-"
        share = f"{found.right / found.total:.3f}"
        rows.append((found.what, f"{found.total:,}", share, spread, f"{found.asked:.2f}"))
    columns = ("", "articles", "accuracy", "95 % interval", "asked")
    print_table("Category accuracy on real news", columns, rows, left=[""])


if __name__ == "__main__":
    try:
        main()
    except NewsClassifierError as err:
        sys.exit(f"Error: {err}")
