"""What the command lines of all packages share: options, progress, and one-line errors with an exit code."""

import atexit
import gc
import json
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from dotenv import load_dotenv
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent.errors import NewsClassifierError
from agent.redaction import redact, redact_logs, redact_value
from eval.plain_text import printable

Command = TypeVar("Command", bound=Callable[..., object])

ENV_FILE = Path("config/.env")
LABELS_FILE = Path("config/labels.yaml")
DATA_FILE = Path("data/labeled_news.jsonl")

COULD_NOT_BE_DONE = 3
"""Exit code when the input was right and something else failed."""

ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000
"""Python's 700 cost a second of going through what MLflow's import made, which stays."""

out = Console(highlight=False, markup=False)
"""Results for people."""
err = Console(stderr=True, highlight=False, markup=False)
"""Progress, notes and errors."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
map_option = click.option("--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="Column that holds a field.")
tag_option = click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of your own for the run.")


def path_option(name: str, variable: str, default: Path, text: str) -> Callable[[Command], Command]:
    """An option that takes a path and shows its default."""
    return click.option(name, variable, type=click.Path(path_type=Path), default=default, show_default=True, help=text)


class Group(click.Group):
    """A command group whose expected errors are one line on standard error, with their own exit code.

    Args:
        lazy: Commands by name that are imported when they are used, as `module:attribute`; most need what takes
            seconds to import.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, **named: Any) -> None:
        super().__init__(*args, **named)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name].partition(":")
        return cast(click.Command, getattr(import_module(module), attribute))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of this product into its message and exit code."""
        prepare_process()
        try:
            return super().invoke(ctx)
        except click.UsageError as error:  # it quotes what was given
            raise click.UsageError(redact(error.format_message()), error.ctx) from None
        except NewsClassifierError as error:
            err.print(f"Error: {error}", soft_wrap=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort) as stop:
            at_prompt = isinstance(stop, click.Abort)  # what click makes of Ctrl-C, and of Ctrl-D, when it has asked
            err.print("\nStopped." if at_prompt else "Stopped.")
            ctx.exit(128 + signal.SIGINT)  # click's own 1 would be that of a gate that said no
        except Exception as error:
            from mlflow.exceptions import MlflowException  # two seconds, and most commands need nothing of it

            if isinstance(error, MlflowException):
                err.print(f"Error: MLflow could not do it: {redact(' '.join(str(error).split()))}", soft_wrap=True)
                ctx.exit(COULD_NOT_BE_DONE)
            err.print(f"{redact(traceback.format_exc())}\nError: a defect: {type(error).__name__}", soft_wrap=True)
            ctx.exit(COULD_NOT_BE_DONE)


def prepare_process() -> None:
    """Read `config/.env`, keep secrets out of logs and traces, and MLflow's informational messages out of the way."""
    load_dotenv(ENV_FILE)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # a tracking server that is down for long is down
    os.environ.setdefault("MLFLOW_MODEL_CATALOG_URI", "")  # or MLflow looks prices up in the network
    for way in ("UPLOAD", "DOWNLOAD"):  # or MLflow goes to the server's own store, which it may not reach, and hangs
        os.environ.setdefault(f"MLFLOW_ENABLE_PROXY_MULTIPART_{way}", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # for when it is imported later than this
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # it may hold a password, and breaks --json
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)  # or Python spends a second on taking apart what the system frees anyway
    redact_logs()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that a run ends FAILED
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for library in ("mlflow", "sklearn"):
        warnings.filterwarnings("ignore", module=library)


def print_wide(table: Table, columns: int) -> None:
    """Print a table in the width that it needs, even where the terminal is narrower or there is none."""
    Console(width=max(out.width, columns), highlight=False, markup=False).print(table)


def print_lines(lines: Iterable[RenderableType]) -> None:
    """Print lines of text, which are never wrapped and move no cursor, and tables between them."""
    for line in lines:
        out.print(printable(line) if isinstance(line, str) else line, soft_wrap=isinstance(line, str))


def print_json(value: object) -> None:
    """Print one JSON object for machines."""
    sys.stdout.write(json.dumps(redact_value(value), ensure_ascii=False) + "\n")


def parse_pairs(option: str, values: tuple[str, ...]) -> dict[str, str]:
    """`key=value` options as a mapping. Raises click.BadParameter for another form."""
    pairs = {}
    for value in values:
        key, separator, content = value.partition("=")
        if not (key and separator and content):
            raise click.BadParameter(f"{value!r} is not of the form key=value", param_hint=option)
        pairs[key] = content
    return pairs


@contextmanager
def progress_bar(step: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on standard error, told what is done and, where it is known, how much there is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(step, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
