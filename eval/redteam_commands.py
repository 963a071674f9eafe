"""`news-classifier eval redteam`."""

from pathlib import Path

import click

from eval.candidates import load_candidate
from eval.commands import RunOptions, candidate_options, how_to_resume
from eval.console import json_option, out, print_json
from eval.redteam import load_hostile_set, redteam
from eval.render import redteam_lines
from eval.store import open_store
from eval.watching import watching

HOSTILE_FILE = Path("data/hostile_news.jsonl")


@click.command("redteam")
@candidate_options(HOSTILE_FILE)
@json_option
def redteam_command(options: RunOptions, as_json: bool) -> None:
    """Measure how often an attack inside an article changes its label."""
    config = load_candidate(options.agent_file, options.provider, options.model)
    data = load_hostile_set(options.data_file, config.labels)
    open_store()
    options.prepare(config)
    with watching(f"Attacking {config.name}", how_to_resume(config, options)) as watch:
        record = redteam(config, data, options.concurrency, watch)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    for line in redteam_lines(record):
        out.print(line, soft_wrap=True)
