"""The main job as one command: train if local, evaluate, gate, register, say what to do next."""

from pathlib import Path

import click

from agent.champion import registered_model_name
from agent.config import AgentConfig, Track
from agent.errors import ConfigError
from agent.local_model import MANIFEST, read_manifest
from agent.settings import read_settings
from eval.commands import show
from eval.console import (
    AGENT_FILE,
    data_option,
    err,
    json_option,
    map_option,
    out,
    parse_pairs,
    print_json,
    progress_bar,
    tag_option,
)
from eval.evaluation import EvaluationRecord
from eval.labeled_set import load_labeled_set
from eval.runner import evaluate
from eval.store import open_store
from eval.tracking import checked_tags
from registry.commands import approval_option, ask, exit_code, gates_option
from registry.gates import GatesConfig
from registry.register import Registration, register
from registry.render import registration_json, registration_lines
from training.commands import CONFIG_FILE, TRAINING_DATA, report_table
from training.config import TrainingConfig
from training.tracking import log_training
from training.train import is_up_to_date, train

AGENTS_FOLDER = Path("config/agents")


@click.command("run")
@click.option(
    "--agent", "agent_file", type=click.Path(path_type=Path), help=f"The candidate's file.  [default: {AGENT_FILE}]"
)
@click.option(
    "--track",
    type=click.Choice(["external", "internal", "local"]),
    help="Instead of --agent: the candidate of this track.",
)
@data_option
@map_option
@tag_option
@click.option("--no-register", is_flag=True, help="Stop after the evaluation.")
@approval_option
@gates_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    agent_file: Path | None,
    track: Track | None,
    data_file: Path,
    columns: tuple[str, ...],
    tags: tuple[str, ...],
    no_register: bool,
    require_approval: bool,
    gates_file: Path,
    as_json: bool,
) -> None:
    """Train if local, evaluate, gate and register one candidate.

    Exit codes: 0 an alias was given, or an identical version exists; 1 the gates said no; 2 wrong input; 3 it could
    not be done.
    """
    config = AgentConfig.from_file(candidate_file(agent_file, track))
    gates = read_settings(gates_file, GatesConfig)
    dataset = load_labeled_set(data_file, config.labels, parse_pairs("--map", columns))
    own_tags = checked_tags(parse_pairs("--tag", tags))
    open_store()
    if config.artifact:
        train_if_needed(config, config.artifact)
    with progress_bar("Classifying") as progress:
        evaluation = evaluate(config, dataset, tags=own_tags, progress=progress)
    registration = None if no_register else register(evaluation, gates, approve=ask if require_approval else None)
    report(evaluation, registration, as_json)
    ctx.exit(exit_code(registration) if registration else 0)


def candidate_file(agent_file: Path | None, track: Track | None) -> Path:
    """The candidate's file that was asked for; for a track its default candidate, or its only one.

    Raises:
        ConfigError: both were given, or the track has several candidates and no default, or none.
    """
    if track is None:
        return agent_file or AGENT_FILE
    if agent_file:
        raise ConfigError(f"Both --agent {agent_file} and --track {track} are given. Give one of them.")
    files = [path for path in sorted(AGENTS_FOLDER.glob("*.yaml")) if AgentConfig.from_file(path).track == track]
    if AGENT_FILE in files:
        return AGENT_FILE
    if len(files) != 1:
        found = ", ".join(map(str, files)) or "none"
        raise ConfigError(
            f"Track {track!r} has {len(files)} candidates in {AGENTS_FOLDER}: {found}. Choose one with --agent."
        )
    return files[0]


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


def report(evaluation: EvaluationRecord, registration: Registration | None, as_json: bool) -> None:
    """Print the outcome and the next step."""
    name = registered_model_name()
    if as_json:
        registered = registration_json(name, registration) if registration else None
        print_json({"evaluation": evaluation.model_dump(mode="json"), "registration": registered})
        return
    show(evaluation)
    for line in registration_lines(name, registration) if registration else ["Not registered, as asked."]:
        out.print(line, soft_wrap=True)
    out.print("\nNext:")
    for step in next_steps(evaluation, registration):
        out.print(f"  {step}", soft_wrap=True)


def next_steps(evaluation: EvaluationRecord, registration: Registration | None) -> list[str]:
    """What a person would do now."""
    if registration is None:
        return [f"news-classifier registry register {evaluation.run_id}"]
    if exit_code(registration):
        return ["make ui        look at the wrong answers of the run: predictions.csv, confusion_matrix_category.png"]
    return [
        "make status    versions, aliases and figures",
        "make serve     the champion on http://127.0.0.1:5001/invocations",
        "make ui        the runs at http://127.0.0.1:5000",
    ]
