"""`news-classifier serve app`, also without the rest of the command line as `python -m serving.app`."""

from pathlib import Path

import click

from agent.champion import CHAMPION
from serving.app.place import Place
from serving.app.settings import SETTINGS_FILE, load_settings
from serving.app.versions import Source
from serving.golden import SMOKE_FILE, SmokeSet

STATE = Path("serving-state")
path = click.Path(path_type=Path)


@click.command("app")
@click.option(
    "--model",
    default=f"@{CHAMPION}",
    show_default=True,
    help="@ALIAS, models:/NAME@ALIAS, models:/NAME/NUMBER, or the folder of a logged model.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; any other needs API keys.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of a version.")
@click.option("--no-keys", is_flag=True, help="Let everybody ask who reaches the address: something else checks.")
@click.option("--state", type=path, default=STATE, show_default=True, help="Folder for what this server keeps.")
@click.option("--settings", type=path, default=SETTINGS_FILE, show_default=True, help="Limits, keys, shares, log.")
@click.option("--smoke", type=path, default=SMOKE_FILE, show_default=True, help="What a version has to answer first.")
def app(
    model: str, host: str, port: int, workers: int, no_keys: bool, state: Path, settings: Path, smoke: Path
) -> None:
    """Serve the champion, and the next one when it changes, without a gap."""
    from serving.app.server import Server, set_up_logs  # takes uvicorn and Prometheus along

    chosen, place = load_settings(settings), Place(host, port, workers, state)
    place.check(chosen, without_keys=no_keys)
    server = Server(Source.parse(model), place, chosen, SmokeSet.from_file(smoke))
    set_up_logs()
    click.echo(f"{model} on {place.url}, described at /docs; it answers when /ready says so.", err=True)
    server.run()
