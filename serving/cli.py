"""The command `news-classifier`: puts the commands of all packages together."""

from pathlib import Path

import click

from agent.champion import CHAMPION, load_champion
from agent.errors import DataError
from eval.console import Group, map_option, out, parse_pairs, print_json, progress_bar
from eval.store import open_store
from serving.classify import classify_file, count_articles


@click.group(
    cls=Group,
    lazy={
        "doctor": "serving.doctor_commands:doctor",
        "eval": "eval.commands:commands",
        "models": "serving.doctor_commands:models",
        "registry": "registry.commands:commands",
        "run": "serving.run:run",
        "serve": "serving.commands:commands",
        "train": "training.commands:train_command",
    },
)
@click.version_option(package_name="news-classifier-agent")
def main() -> None:
    """Which model should classify the news, and is the new one really better?"""


def json_lines_only(ctx: click.Context, option: click.Parameter, target: Path | None) -> Path | None:
    """Where answers may be written, whose probabilities and calls are no table."""
    if target and target.suffix.lower() not in ("", ".json", ".jsonl", ".ndjson"):
        raise click.BadParameter(f"answers are JSON, one a line; name a .jsonl file, not {target.suffix!r}.")
    return target


@main.command("classify")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o",
    "--out",
    "target",
    type=click.Path(path_type=Path),
    callback=json_lines_only,
    help="Where to write the answers, one JSON object a line.",
)
@click.option("--title", default="", help="Title of one article.")
@click.option("--content", default="", help="Content of one article.")
@click.option("--alias", default=CHAMPION, show_default=True, help="Which version answers.")
@map_option
def classify(
    file: Path | None, target: Path | None, title: str, content: str, alias: str, columns: tuple[str, ...]
) -> None:
    """Classify one article, or a FILE of any length, with the champion."""
    if (file is None) == (not title and not content):
        raise click.UsageError("Give either FILE with -o OUT, or --title and --content.")
    if file and not target:
        raise click.UsageError("FILE needs -o OUT.")
    mapping = parse_pairs("--map", columns)
    total = count_articles(file, mapping) if file else 1
    open_store()
    with load_champion(alias) as model:
        if file is None or target is None:
            answer = model.classify(title, content)
            print_json(answer.model_dump(mode="json"))
            if answer.error:
                raise DataError(answer.error.message)
            return
        with progress_bar("Classifying") as progress:
            summary = classify_file(model, file, target, mapping, lambda done: progress(done, total))
    out.print(
        f"{summary.articles - summary.failed:,} of {summary.articles:,} articles classified: {target}", soft_wrap=True
    )
    if summary.first_problem:
        raise DataError(
            f"{file}: {summary.failed} articles have an error instead of labels; first {summary.first_problem}"
        )


if __name__ == "__main__":
    main()
