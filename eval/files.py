"""Writes the files of an evaluation: predictions, confusion matrices, reports, curves."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from agent.labels import TASKS, UNKNOWN
from agent.prompt import visible
from agent.redaction import redact, redact_value, secret_values
from eval.charts import draw_confusion, draw_curves
from eval.metrics.scores import averages, label_scores
from eval.outcomes import Prediction, TaskOutcome

COLUMNS = (
    *("id", "title", "article_hash", "story_id"),
    *("gold_category", "predicted_category", "category_confidence"),
    *("gold_sentiment", "predicted_sentiment", "sentiment_confidence"),
    *("hard", "latency_ms", "calls", "unknown_reason", "error"),
)
"""Of `predictions.csv`."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_files(
    folder: Path, outcomes: Sequence[TaskOutcome], predictions: Sequence[Prediction], records: Iterable[object]
) -> None:
    """Write every file of an evaluation but `evaluation.json` into `folder`.

    Args:
        folder: An empty folder.
        outcomes: What metrics are computed from.
        predictions: Shape (n,).
        records: The whole answer to each of them, without secrets.
    """
    write_prediction_table(folder / "predictions.csv", predictions)
    write_records(folder / "predictions.json", predictions, records)
    report = classification_report(outcomes)
    report.to_csv(folder / "classification_report.csv", index=False)
    text = report.to_string(index=False, float_format="%.3f")
    (folder / "classification_report.txt").write_text(f"{text}\n", encoding="utf-8")
    for outcome in outcomes:
        if outcome.name != "joint":
            draw_confusion(outcome, folder / f"confusion_matrix_{outcome.name}.png")
            matrix = pd.DataFrame(outcome.confusion, index=outcome.labels, columns=[*outcome.labels, UNKNOWN])
            matrix.to_csv(folder / f"confusion_matrix_{outcome.name}.csv", index_label="gold")
    if outcomes[0].name == "category":
        draw_curves(outcomes[0], folder / "roc_curve.png", folder / "pr_curve.png")


def write_prediction_table(path: Path, predictions: Iterable[Prediction]) -> None:
    """One row for each article, without secrets; text that a spreadsheet would run as a formula is made inert."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        secrets = secret_values()
        writer.writerows(redact_value(_table_row(prediction, secrets), secrets) for prediction in predictions)


def write_records(path: Path, predictions: Iterable[Prediction], records: Iterable[object]) -> None:
    """A JSON list with title, gold labels and the whole answer of each article, a line each, without secrets."""
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        secrets = secret_values()
        for prediction, record in zip(predictions, records, strict=True):
            row = prediction.row
            about = {"id": row.id, "title": row.title, "gold": {str(task): row.gold[task] for task in row.gold}}
            file.write(separator + json.dumps(redact_value(about, secrets) | {"answer": record}, ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n")


def write_repeats(path: Path, passes: Sequence[Sequence[Prediction]]) -> None:
    """The labels of each article each time; whether they are all the same, empty where it was not asked each time."""
    names = [f"{task}_{number}" for task in TASKS for number in range(1, len(passes) + 1)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "stable", *names])
        secrets = secret_values()
        others = [{prediction.row.id: prediction for prediction in once} for once in passes[1:]]
        for first in passes[0]:  # a pass lacks some where the budget was spent
            each = [first, *(once.get(first.row.id) for once in others)]
            labels = [[found.label(task) if found else None for found in each] for task in TASKS]
            stable = all(len(set(of_task)) == 1 for of_task in labels) if all(each) else None
            writer.writerow([shown(first.row.id, secrets), stable, *(label for of_task in labels for label in of_task)])


def classification_report(outcomes: Sequence[TaskOutcome]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each label and on average, for category, sentiment and both together."""
    rows = []
    for outcome in outcomes:
        scores = label_scores(outcome.confusion)
        rows += [
            (outcome.name, label, *values)
            for label, *values in zip(
                outcome.labels, scores.precision, scores.recall, scores.f1, scores.support, strict=True
            )
        ]
        mean = averages(scores)
        rows.append(
            (
                outcome.name,
                "macro average",
                *(float(mean[f"macro_{name}"]) for name in ("precision", "recall", "f1")),
                scores.support.sum(),
            )
        )
    report = pd.DataFrame(rows, columns=["task", "label", "precision", "recall", "f1", "support"])
    return report.astype({"support": int})


def shown(text: str, secrets: Sequence[str]) -> str:
    """Text of a stranger for a table: without secrets, invisible characters and formulas."""
    return inert(visible(redact(text, secrets)))


def inert(text: str) -> str:
    """Text that a spreadsheet shows instead of running it as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _table_row(prediction: Prediction, secrets: Sequence[str]) -> dict[str, object]:
    row, answer = prediction
    cells: dict[str, object] = {
        "id": shown(row.id, secrets),
        "title": shown(row.title, secrets),
        "article_hash": row.article.hash,
        "story_id": inert(row.story_id) if row.story_id else None,
    }
    for task in TASKS:
        probabilities = prediction.probabilities(task)
        cells[f"gold_{task}"] = row.gold.get(task)
        cells[f"predicted_{task}"] = prediction.label(task)
        cells[f"{task}_confidence"] = max(probabilities) if probabilities else None
    return cells | {
        "hard": row.hard,
        "latency_ms": answer.latency_ms,
        "calls": answer.bill.calls,
        "unknown_reason": inert(answer.unknown_reason) if answer.unknown_reason else None,
        "error": inert(answer.error.message) if answer.error else None,
    }
