"""The main job as one command: train if local, evaluate, gate, register, say what to do next."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import click

from agent.champion import registered_model_name
from agent.config import AgentConfig, Track
from agent.errors import ConfigError, EvaluationError
from agent.local_model import MANIFEST, read_manifest
from agent.settings import read_settings
from eval.candidates import all_candidates, load_candidate
from eval.commands import RunOptions, evaluate_candidate, run_options, show
from eval.console import err, json_option, out, parse_pairs, print_json, print_wide
from eval.evaluation import EvaluationRecord
from eval.labeled_set import load_labeled_set
from eval.store import open_store
from registry.commands import ask, exit_code
from registry.gates.config import GatesConfig
from registry.options import approval_option, gates_option
from registry.register import register
from registry.registrar import Registration
from registry.remeasuring import remeasuring
from registry.render import registration_json, registration_lines
from registry.versions import CHALLENGER
from serving.run_many import Result, chosen_candidates, results_table, run_each
from training.commands import CONFIG_FILE, TRAINING_DATA, report_table
from training.config import TrainingConfig
from training.tracking import log_training
from training.train import is_up_to_date, train

TABLE_WIDTH = 116
"""Columns that the table of several candidates needs; a narrower terminal wraps it."""
TRACK_DEFAULTS: Mapping[Track, str] = {"external": "openai", "internal": "databricks", "local": "sklearn"}


@click.command("run")
@run_options
@click.option(
    "--track",
    type=click.Choice(["external", "internal", "local", "both", "all"]),
    help="The default candidate of a track; of both LLM tracks; or all candidates whose keys are there.",
)
@click.option("--no-register", is_flag=True, help="Stop after the evaluation.")
@approval_option
@gates_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    options: RunOptions,
    track: Track | Literal["both", "all"] | None,
    no_register: bool,
    require_approval: bool,
    gates_file: Path,
    as_json: bool,
) -> None:
    """Train if local, evaluate, gate and register one candidate, or one after the other.

    Exit codes: 0 an alias was given, or an identical version exists; 1 the gates said no, or one of several candidates
    did not make it; 2 wrong input; 3 it could not be done.
    """
    gates = read_settings(gates_file, GatesConfig)
    if options.version_uri:
        raise ConfigError(
            f"{options.version_uri} is logged already. Evaluate it with: news-classifier eval run --agent URI."
        )

    budget = options.budget()

    def run_one(config: AgentConfig, *, join: bool) -> Result:
        dataset = options.dataset(config.labels)
        if config.artifact:
            train_if_needed(config, config.artifact)
        evaluation = evaluate_candidate(config, dataset, options, join=join, budget=budget)
        if evaluation.partial:
            raise EvaluationError(
                f"Nothing is registered: the evaluation of {config.name} is partial, {evaluation.partial}."
            )
        if no_register:
            return Result(config.name, evaluation)
        remeasure = remeasuring(options.data_file, parse_pairs("--map", options.columns), budget)
        approve = ask if require_approval else None
        return Result(config.name, evaluation, register(evaluation, gates, remeasure=remeasure, approve=approve))

    if track == "both" or track == "all":
        candidates = chosen_candidates(track, options)
        for config in candidates:
            options.dataset(config.labels)  # wrong input is said before anything is paid for
        open_store()
        results = run_each(candidates, lambda config: run_one(config, join=False))
        report_several(results, as_json)
        ctx.exit(max(result.exit_code for result in results))
    config = chosen_candidate(track, options)
    open_store()
    result = run_one(config, join=True)
    report(result, as_json)
    ctx.exit(result.exit_code)


def chosen_candidate(track: Track | None, options: RunOptions) -> AgentConfig:
    """The one candidate that was asked for; for a track alone, its default.

    Raises:
        ConfigError: the options contradict each other.
    """
    provider = options.provider
    if track and not options.agent_file and not provider:
        named = options.model and any(config.model == options.model for config in all_candidates(track))
        provider = None if named else TRACK_DEFAULTS[track]
    config = load_candidate(options.agent_file, provider, options.model)
    if track and config.track != track:
        raise ConfigError(f"{config.name!r} is on the track {config.track!r}, not {track!r}. Leave --track out.")
    return config


def train_if_needed(config: AgentConfig, folder: Path) -> None:
    """Train the local model unless the folder holds one that is up to date, or one that was trained on other files."""
    training = read_settings(CONFIG_FILE, TrainingConfig)
    sets = [load_labeled_set(TRAINING_DATA, config.labels)]
    if (folder / MANIFEST).exists():
        sources = [source.file for source in read_manifest(folder).data]
        if sources != [item.path.name for item in sets]:
            err.print(
                f"The local model in {folder} was trained on {', '.join(sources)}; it is used as it is.", soft_wrap=True
            )
            return
    if is_up_to_date(sets, folder, training, config.labels):
        err.print(f"The local model in {folder} is up to date.", soft_wrap=True)
        return
    trained = train(sets, folder, training, config.labels, progress=err.print)
    log_training(trained, sets, training)
    err.print(report_table(trained))


def report(result: Result, as_json: bool) -> None:
    """Print the outcome and the next step."""
    name = registered_model_name()
    if as_json:
        print_json(result_json(result))
        return
    assert result.evaluation
    show(result.evaluation)
    lines = registration_lines(name, result.registration) if result.registration else ["Not registered, as asked."]
    for line in lines:
        out.print(line, soft_wrap=True)
    out.print("\nNext:")
    for step in next_steps(result.evaluation, result.registration):
        out.print(f"  {step}", soft_wrap=True)


def report_several(results: Sequence[Result], as_json: bool) -> None:
    """Print what became of each of several candidates."""
    if as_json:
        print_json({"candidates": [{"agent": result.name, **result_json(result)} for result in results]})
    else:
        print_wide(results_table(results), TABLE_WIDTH)
        out.print("Aliases move while candidates register; where they stand now: make status")


def result_json(result: Result) -> dict[str, object]:
    """What became of one candidate, as one object."""
    name = registered_model_name()
    return {
        "evaluation": result.evaluation.model_dump(mode="json") if result.evaluation else None,
        "registration": registration_json(name, result.registration) if result.registration else None,
        **({"problem": result.problem} if result.problem else {}),
    }


def next_steps(evaluation: EvaluationRecord, registration: Registration | None) -> list[str]:
    """What a person would do now."""
    if registration is None:
        return [f"news-classifier registry register {evaluation.run_id}"]
    if exit_code(registration):
        return ["make ui        look at the wrong answers of the run: predictions.csv, confusion_matrix_category.png"]
    waits = registration.alias == CHALLENGER
    return [
        *(["make promote   challenger and champion side by side, then your yes or no"] if waits else []),
        "make status    versions, aliases and figures",
        "make serve     the champion on http://127.0.0.1:5001/invocations",
        "make ui        the runs at http://127.0.0.1:5000",
    ]
