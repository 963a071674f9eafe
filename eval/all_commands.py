"""`news-classifier eval all`: every candidate that can be asked, one table, one report, one decision."""

from datetime import UTC, datetime
from pathlib import Path

import click

from agent.errors import ConfigError, EvaluationError, NewsClassifierError
from agent.settings import read_settings
from eval.commands import RunOptions, evaluate_candidate, run_options, say_left_out
from eval.compare.render import print_page
from eval.console import err, json_option, out, path_option, print_json
from eval.decision.config import DECISION_FILE, DecisionConfig
from eval.decision.decide import Decision, decide
from eval.evaluation import LoggedEvaluation
from eval.overview import overview_page, write_overview
from eval.runnable import runnable_candidates
from eval.runs import load_predictions, whole_evaluation
from eval.secret_scope import use_secrets
from eval.selection import Selection
from eval.store import open_store
from eval.uploads import KEPT_FOLDER


@click.command("all")
@run_options
@path_option("--config", "config_file", DECISION_FILE, "What is needed in production, and the rules.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Where the report goes; a new folder in reports."
)
@json_option
@click.pass_context
def all_command(ctx: click.Context, options: RunOptions, config_file: Path, folder: Path | None, as_json: bool) -> None:
    """Evaluate every candidate whose key is there, compare them and decide. Nothing is registered.

    A --max-usd is for all of them together. Exits with 1 when one could not be evaluated.
    """
    if options.agent_file or options.provider or options.model or options.version_uri:
        raise ConfigError("eval all takes every candidate; --agent, --provider and --model choose one. Leave them out.")
    settings = read_settings(config_file, DecisionConfig)
    candidates = list(runnable_candidates(use_secrets if options.use_secrets else None, say_left_out))
    for config in candidates:
        options.dataset(config.labels)  # wrong input is said before anything is paid for
    open_store()
    records: list[LoggedEvaluation] = []
    problems: dict[str, str] = {}
    budget = options.budget()
    for config in candidates:
        try:
            found = evaluate_candidate(config, options.dataset(config.labels), options, join=False, budget=budget)
            if found.partial or found.run_id is None:
                raise EvaluationError(found.partial or "MLflow could not be reached")
            records.append(whole_evaluation(found.run_id))
        except NewsClassifierError as error:
            problems[config.name] = str(error)
            err.print(f"{config.name}: {error}", soft_wrap=True)
    if not records:
        raise EvaluationError("No candidate could be evaluated.")
    predictions = {record.run_id: load_predictions(record.run_id) for record in records}
    decision = decide(Selection(tuple(records), ()), predictions, settings)
    page = overview_page(records, decision, problems)
    paths = write_overview(folder or KEPT_FOLDER / f"all_{datetime.now(UTC):%Y%m%dT%H%M%SZ}", page, decision)
    if as_json:
        print_json(overview_json(records, problems, decision, paths))
    else:
        print_page(page)
        out.print(f"Report: {paths[0]}", soft_wrap=True)
    ctx.exit(1 if problems else 0)


def overview_json(
    records: list[LoggedEvaluation], problems: dict[str, str], decision: Decision, paths: list[Path]
) -> dict[str, object]:
    """The same for machines."""
    return {
        "evaluations": [record.model_dump(mode="json") for record in records],
        "problems": problems,
        "decision": decision.model_dump(mode="json"),
        "report": [str(path) for path in paths],
    }
