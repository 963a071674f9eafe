"""`news-classifier train`: the local model from labelled sets."""

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agent.labels import LabelSet
from agent.settings import read_settings
from eval.console import LABELS_FILE, Group, err, json_option, map_option, out, parse_pairs, path_option, print_json
from eval.labeled_set import load_labeled_set
from eval.store import open_store
from training.config import TrainingConfig
from training.tracking import log_training
from training.train import TrainingReport, train

CONFIG_FILE = Path("config/training.yaml")
TRAINING_DATA = Path("data/training_news.jsonl")
OUT = Path("models/local-sklearn")


@click.group("training", cls=Group)
def commands() -> None:
    """Train local models."""


@commands.command("train")
@click.option(
    "--data",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(TRAINING_DATA,),
    show_default=True,
    help="A labelled file; may be repeated.",
)
@path_option("--out", "folder", OUT, "Folder of the model.")
@path_option("--config", "config_file", CONFIG_FILE, "How to train.")
@path_option("--labels", "labels_file", LABELS_FILE, "The allowed labels.")
@map_option
@json_option
def train_command(
    files: tuple[Path, ...], folder: Path, config_file: Path, labels_file: Path, columns: tuple[str, ...], as_json: bool
) -> None:
    """Cross-validate and train the local model; the evaluation set is never looked at."""
    config = read_settings(config_file, TrainingConfig)
    labels = read_settings(labels_file, LabelSet)
    sets = [load_labeled_set(path, labels, parse_pairs("--map", columns)) for path in files]
    open_store()
    report = train(sets, folder, config, labels, progress=err.print)
    run_id = log_training(report, sets, config)
    if as_json:
        print_json(report_json(report, run_id))
        return
    out.print(report_table(report))
    err.print(f"Wrote {folder} in {report.seconds:.1f} s, {report.size_bytes / 1e6:.1f} MB; run {run_id}.")


def report_table(report: TrainingReport) -> Table:
    """Cross-validation figures of each task."""
    table = Table(title="Cross-validation on the training set, mean ± sd", title_justify="left", box=SIMPLE_HEAD)
    for name in ("task", "articles", "accuracy", "macro F1", "log loss"):
        table.add_column(name, justify="left" if name == "task" else "right")
    for task in report.tasks:
        table.add_row(
            task.task,
            f"{task.rows:,}",
            f"{task.accuracy:.3f} ± {task.accuracy_sd:.3f}",
            f"{task.macro_f1:.3f} ± {task.macro_f1_sd:.3f}",
            f"{task.log_loss:.3f}",
        )
    return table


def report_json(report: TrainingReport, run_id: str) -> dict[str, object]:
    """The same for machines."""
    return {
        "out": str(report.folder),
        "run_id": run_id,
        "seconds": report.seconds,
        "size_bytes": report.size_bytes,
        "tasks": [task._asdict() for task in report.tasks],
        "manifest": report.manifest.model_dump(mode="json"),
    }
