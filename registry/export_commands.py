"""`news-classifier registry export`."""

from pathlib import Path

import click

from agent.redaction import redact
from eval.console import json_option, out, print_json
from registry.commands import opened
from registry.export import export_version


@click.command("export")
@click.argument("version")
@click.option("-o", "--out", "target", type=click.Path(path_type=Path), required=True, help="A new folder, or a .zip.")
@json_option
def export_command(version: str, target: Path, as_json: bool) -> None:
    """Write one version with its model, evaluation, evidence and decisions, for an audit."""
    registry, ledger = opened()
    names = export_version(registry, ledger, version, target)
    if as_json:
        print_json({"name": registry.name, "version": version, "path": str(target), "files": names})
    else:
        out.print(redact(f"{registry.name} version {version}: {len(names)} files in {target}"), soft_wrap=True)
