"""`news-classifier eval compare`: runs side by side, groups of runs, the trend of a candidate."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import click

from agent.errors import DataError
from agent.redaction import redact_value
from eval.compare.compare import compare_runs
from eval.compare.comparison_page import comparison_page, group_page, trend_page
from eval.compare.groups import checked_by, group_runs
from eval.compare.notifications import configured_urls, open_targets, send
from eval.compare.records import ComparedRuns, GroupedRuns, Trend
from eval.compare.render import html_page, markdown_page, print_page
from eval.compare.run_choice import checked_runs, latest_and_previous, runs_of_each_candidate
from eval.compare.thresholds import Threshold, parse_threshold, with_thresholds
from eval.compare.trend import draw_trend, trend
from eval.console import err, json_option, print_json
from eval.report.text import MAX_INLINE_CHARS, cleaner, shortened
from eval.store import open_store

Form = Literal["table", "json", "md", "html"]
FORMS: dict[str, Form] = {".json": "json", ".md": "md", ".html": "html"}
"""What is written where no --format is given, by the ending of --out."""
PICTURE = ".png"
BROKEN = 1
"""Exit code when a threshold said no."""
Value = TypeVar("Value")


class Output(NamedTuple):
    """Where to, and as what."""

    form: Form
    target: Path | None

    @property
    def picture(self) -> Path | None:
        """The file of a picture that goes beside the table."""
        return self.target if self.target and self.target.suffix == PICTURE else None


def parsed(parse: Callable[[str], Value]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that parses an option, given once or often; what is wrong is a usage error."""

    def callback(ctx: click.Context, option: click.Parameter, given: Any) -> Any:
        try:
            if isinstance(given, tuple):
                return tuple(parse(value) for value in given)
            return None if given is None else parse(given)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


@click.command("compare")
@click.argument("names", nargs=-1, metavar="[RUN...|AGENT]")
@click.option("--latest", is_flag=True, help="The newest run of a candidate (AGENT, or the newest) and its previous.")
@click.option("--last", "count", type=click.IntRange(2, 1000), help="The trend of a candidate over so many runs.")
@click.option("--by", callback=parsed(checked_by), help="Groups: track, provider, model or tag:KEY.")
@click.option(
    "--fail-on",
    "thresholds",
    multiple=True,
    callback=parsed(parse_threshold),
    metavar="THRESHOLD",
    help="Exit 1 if a difference from the baseline is so: category_accuracy<-0.01, latency_ms_p95>20%.",
)
@click.option("--notify", "urls", multiple=True, metavar="URL", help="Tell this address if --fail-on says no.")
@click.option("--format", "form", type=click.Choice(["table", "json", "md", "html"]), help="Default: table.")
@click.option("--out", "target", type=click.Path(path_type=Path), help="A file, or with --last a .png picture.")
@json_option
def compare_command(
    names: tuple[str, ...],
    latest: bool,
    count: int | None,
    by: str | None,
    thresholds: tuple[Threshold, ...],
    urls: tuple[str, ...],
    form: Form | None,
    target: Path | None,
    as_json: bool,
) -> None:
    """Compare runs with the first named, or the newest of each candidate."""
    check_options(names, latest=latest, count=count, by=by, thresholds=thresholds, urls=urls)
    output = chosen_output("json" if as_json else form, target, picture=count is not None)
    targets = open_targets([*urls, *configured_urls()]) if thresholds else []
    open_store()
    if count is not None:
        show(trend(count, *names), output)
        return
    if by is not None:
        show(group_runs(by, names), output)
        return
    compared = with_thresholds(compare_runs(chosen_runs(names, latest=latest)), thresholds)
    show(compared, output)
    if broken := broken_lines(compared):
        for line in broken:
            err.print(line, soft_wrap=True)
        for warning in send(targets, "News classifier: a regression", "\n".join(broken)):
            err.print(f"Warning: {warning}", soft_wrap=True)
        click.get_current_context().exit(BROKEN)


def check_options(
    names: Sequence[str], *, latest: bool, count: int | None, by: str | None, thresholds: object, urls: object
) -> None:
    """Raise a usage error for options that do not go together."""
    ways = [way for way, given in (("--latest", latest), ("--last", count), ("--by", by)) if given]
    if len(ways) > 1:
        raise click.UsageError(f"{' and '.join(ways)} do not go together. Give one of them.")
    if (count or by) and thresholds:
        raise click.UsageError(f"--fail-on needs runs and a baseline, so it does not go with {ways[0]}.")
    if urls and not thresholds:
        raise click.UsageError("--notify tells about a --fail-on that said no. Give --fail-on too.")
    if (latest or count) and len(names) > 1:
        raise click.UsageError(f"{ways[0]} takes the name of one candidate, got {len(names)}: {', '.join(names)}.")


def chosen_output(form: Form | None, target: Path | None, *, picture: bool) -> Output:
    """What is written where. Raises a usage error for a form that no file can have."""
    if target and target.suffix == PICTURE:
        if not picture:
            raise click.UsageError(f"--out {str(target)!r} is a picture, which only --last draws.")
        return Output(form or "table", target)
    found = form or (FORMS.get(target.suffix) if target else "table")
    if found is None or (found == "table" and target):
        raise click.UsageError(f"--out {str(target)!r} needs --format json, md or html, or one of those endings.")
    return Output(found, target)


def chosen_runs(names: Sequence[str], *, latest: bool) -> list[str]:
    """Ids of the runs to compare, the baseline first. Raises DataError."""
    if latest:
        return latest_and_previous(names[0] if names else None)
    return checked_runs(names) if names else runs_of_each_candidate()


def show(found: ComparedRuns | GroupedRuns | Trend, output: Output) -> None:
    """Print or write what was found. Raises DataError for a file that cannot be written."""
    picture = draw_trend(found) if isinstance(found, Trend) and (output.form == "html" or output.picture) else None
    if output.picture and picture:
        write(output.picture, picture)
    target = None if output.picture else output.target
    if output.form == "json":
        value = found.model_dump(mode="json")
        if target is None:
            print_json(value)
        else:
            write(target, json.dumps(redact_value(value), ensure_ascii=False, indent=2).encode())
        return
    match found:
        case ComparedRuns():
            page = comparison_page(found)
        case GroupedRuns():
            page = group_page(found)
        case Trend():
            page = trend_page(found, picture)
    if output.form == "table":
        print_page(page)
        return
    text = markdown_page(page) if output.form == "md" else html_page(page)
    if target is None:
        click.echo(text, nl=False)
    else:
        write(target, text.encode())


def write(target: Path, content: bytes) -> None:
    """Write a file and say so. Raises DataError."""
    try:
        target.write_bytes(content)
    except OSError as error:
        raise DataError(f"{str(target)!r} cannot be written: {error}. Give --out another path.") from error
    err.print(f"Written: {target}", soft_wrap=True)


def broken_lines(compared: ComparedRuns) -> list[str]:
    """A line for each threshold that said no, and one more where rows differ."""
    lines = [
        f"Regression: {result.threshold} for {result.agent} ({result.run_id}): {result.reason}."
        for result in compared.broken
    ]
    differ = [run.run_id for run in compared.candidates if not run.against.rows.all_common]
    if lines and differ:
        lines.append(f"Rows differ from the baseline's in {', '.join(differ)}, which can explain a difference.")
    clean = cleaner()
    return [shortened(clean(line), MAX_INLINE_CHARS) for line in lines]
