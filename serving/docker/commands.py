"""`news-classifier serve docker`."""

from pathlib import Path

import click

from eval.console import err, json_option, out, path_option, print_json
from eval.store import open_store
from registry.versions import CHAMPION
from serving.app.settings import SETTINGS_FILE, load_settings
from serving.docker.container import Running, Wanted, run
from serving.docker.engine import open_engine
from serving.docker.image import Image, build, choose, find

READY_TIMEOUT_S = 120


@click.command("docker")
@click.option("--build", "only_build", is_flag=True, help="Only build the image.")
@click.option("--run", "only_run", is_flag=True, help="Only run an image that is there.")
@click.option(
    "--model",
    default=f"@{CHAMPION}",
    show_default=True,
    metavar="URI|@ALIAS",
    help="The registered version, such as models:/news_classifier/3.",
)
@click.option("--tag", help="Name of the image; news-classifier:VERSION unless given.")
@click.option("--base", help="Image with Python to build on; python:X.Y-slim of the version's Python unless given.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of this machine.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address of this machine to publish at.")
@click.option("--env", "variables", multiple=True, metavar="NAME", help="A further variable to pass on.")
@click.option("--state", metavar="VOLUME", help="A volume for what is kept; in memory unless given.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1),
    default=READY_TIMEOUT_S,
    show_default=True,
    help="Seconds that the container may take to become ready.",
)
@path_option("--settings", "settings_file", SETTINGS_FILE, "Settings of the server.")
@json_option
def docker(
    only_build: bool,
    only_run: bool,
    model: str,
    tag: str | None,
    base: str | None,
    port: int,
    address: str,
    variables: tuple[str, ...],
    state: str | None,
    timeout_s: int,
    settings_file: Path,
    as_json: bool,
) -> None:
    """Build an image of the champion, run it, and try it; nothing stays if it fails.

    Without --build and --run it does both. Exit codes: 0 done; 2 wrong input; 3 it could not be done.
    """
    building, running = only_build or not only_run, only_run or not only_build
    wanted = Wanted(address, port, load_settings(settings_file).api_keys, variables, state)
    with open_engine() as client:
        if building:
            open_store()
            chosen = choose(model)
            image = build(
                client, chosen, tag=tag or chosen.tag, base=base, settings_file=settings_file, tell=tell_person
            )
        else:
            image = find(client, tag or tag_of(model))
        container = run(client, image, wanted, timeout_s=timeout_s, tell=tell_person) if running else None
    report(image, container, as_json=as_json)


def tell_person(line: str) -> None:
    """Say what is going on."""
    err.print(line, soft_wrap=True)


def tag_of(model: str) -> str:
    """What the image of a version is called unless somebody said otherwise."""
    open_store()
    return choose(model).tag


def report(image: Image, container: Running | None, *, as_json: bool) -> None:
    """Print what there is now; a key that was made for a container is shown this once, and only to people."""
    if container and container.key:
        err.print(
            f"No API keys are set, so {container.name} has one of its own: {container.key} "
            "To give it yours: news-classifier serve key NAME",
            soft_wrap=True,
        )
    if as_json:
        found = {"tag": image.tag, "id": image.id, "size_mb": image.size_mb, "labels": dict(image.labels)}
        print_json({"image": found, "container": ran(container) if container else None})
        return
    version = f"version {image.label('version')} of {image.label('model')}"
    if container is None:
        out.print(
            f"{image.tag}: {version}, {image.size_mb} MB. Run it: news-classifier serve docker --run --tag {image.tag}",
            soft_wrap=True,
        )
        return
    out.print(
        f"{container.url} answers with {version}, ready after {container.ready_s:.1f} s. "
        f"End it: docker stop --time 120 {container.name}",
        soft_wrap=True,
    )


def ran(container: Running) -> dict[str, object]:
    """A container for machines."""
    return {
        "id": container.id,
        "name": container.name,
        "url": container.url,
        "ready_seconds": round(container.ready_s, 1),
        "smoke_test": [check._asdict() for check in container.checks],
    }
