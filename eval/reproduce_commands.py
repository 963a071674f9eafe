"""`news-classifier eval reproduce`."""

from pathlib import Path

import click

from agent.labels import LabelSet
from agent.settings import read_settings
from eval.console import LABELS_FILE, json_option, out, print_json
from eval.render import with_interval
from eval.reproduction import Reproduction, reproduce
from eval.store import open_store
from eval.watching import watching

FIGURES = ("category_accuracy", "sentiment_accuracy", "category_macro_f1", "sentiment_macro_f1")


@click.command("reproduce")
@click.argument("run_id", metavar="RUN")
@click.option("--data", "data_file", type=click.Path(path_type=Path), help="The labelled set, where it was moved.")
@json_option
@click.pass_context
def reproduce_command(ctx: click.Context, run_id: str, data_file: Path | None, as_json: bool) -> None:
    """Run an evaluation again, with its own code on the same articles, and compare.

    Everything is asked and paid for again. Exits with 1 when the difference is more than chance.
    """
    open_store()
    with watching(f"Reproducing {run_id}") as watch:
        found = reproduce(run_id, read_settings(LABELS_FILE, LabelSet), data_file=data_file, watch=watch)
    if as_json:
        print_json(found.model_dump(mode="json") | {"identical": found.is_identical, "differs": found.differs})
    else:
        for line in reproduction_lines(found):
            out.print(line, soft_wrap=True)
    ctx.exit(1 if found.differs else 0)


def reproduction_lines(found: Reproduction) -> list[str]:
    """What is the same and what is not, a line each."""
    before, after = found.original, found.again
    lines = [f"dataset {before.dataset.digest[:12]} and model {before.candidate.hash[:12]}: the same"]
    if before.git_commit != found.commit_now:
        lines.append(f"commit: {before.git_commit} then, {found.commit_now} now; the model ran its own code")
    lines += [f"{task}: {same:,} of {found.rows:,} labels the same" for task, same in found.same_labels.items()]
    lines += [
        f"{name}: {with_interval(before.metrics, name)} then, {with_interval(after.metrics, name)} now"
        for name in FIGURES
        if name in before.metrics
    ]
    verdict = "identical" if found.is_identical else "more than chance" if found.differs else "no more than chance"
    return [*lines, f"Difference: {verdict}. The repetition is run {after.run_id}."]
