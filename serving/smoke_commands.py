"""`news-classifier serve smoke`: whether a server answers as it should, for people and for machines."""

from pathlib import Path
from statistics import median

import click
from rich.table import Table

from agent.credentials import key_in
from agent.failures import RetrySettings
from agent.transport import Timeouts
from eval.console import json_option, path_option, print_json, print_lines, print_wide
from serving.golden import SMOKE_FILE, SmokeSet
from serving.invocations import Invocations
from serving.smoke import SmokeResult, smoke
from serving.target import FORMS, open_target

TABLE_COLUMNS = 100


@click.command("smoke", epilog=f"URL is one of {FORMS}.")
@click.argument("url")
@click.option("--key-env", metavar="NAME", help="Variable that holds the key; NEWS_CLASSIFIER_API_KEY unless given.")
@click.option("--expect-version", metavar="N", help="The registered version that has to answer.")
@click.option("--max-latency-ms", type=click.FloatRange(min=0, min_open=True), help="How long an answer may take.")
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long to wait for an answer, retries included.",
)
@path_option("--articles", "smoke_file", SMOKE_FILE, "The articles and their labels.")
@json_option
@click.pass_context
def smoke_command(
    ctx: click.Context,
    url: str,
    key_env: str | None,
    expect_version: str | None,
    max_latency_ms: float | None,
    timeout_s: float,
    smoke_file: Path,
    as_json: bool,
) -> None:
    """Ask the server at URL about articles whose labels nobody disputes.

    Exit codes: 0 all is right; 1 something is not; 2 wrong input; 3 the server gave no answer.
    """
    smoke_set = SmokeSet.from_file(smoke_file)
    target = open_target(url, key_in(key_env) if key_env else None)
    server = Invocations(target, Timeouts(read_s=timeout_s, total_s=timeout_s), RetrySettings())
    result = smoke(server, smoke_set, expected_version=expect_version, max_latency_ms=max_latency_ms)
    if as_json:
        print_json(as_object(result))
    else:
        print_wide(table_of(result), TABLE_COLUMNS)
        print_lines(f"{'ok' if check.passed else 'NO':<2}  {check.name}: {check.detail}" for check in result.checks)
    ctx.exit(0 if result.passed else 1)


def table_of(result: SmokeResult) -> Table:
    """A row for each article."""
    table = Table("article", "category", "sentiment", "ms", "", title=result.url)
    for finding, latency_ms in zip(result.verdict.findings, result.latencies_ms, strict=True):
        problems = "; ".join((*finding.faults, *finding.misses)) or "ok"
        table.add_row(finding.id, finding.category, finding.sentiment, f"{latency_ms:.0f}", problems)
    return table


def as_object(result: SmokeResult) -> dict[str, object]:
    """The same for machines."""
    return {
        "url": result.url,
        "passed": result.passed,
        "checks": [check._asdict() for check in result.checks],
        "latency_ms_p50": median(result.latencies_ms),
        "latency_ms_max": max(result.latencies_ms),
        "articles": [
            finding._asdict() | {"latency_ms": latency_ms}
            for finding, latency_ms in zip(result.verdict.findings, result.latencies_ms, strict=True)
        ],
    }
