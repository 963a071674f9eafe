"""Shows how far an evaluation is: a live line on a terminal, a plain line now and then where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from eval.console import err
from eval.progress import Progress, Watch
from eval.stopping import SIGNALS, hearing

PLAIN_EVERY_S = 10.0
SAME_COMMAND = "Answers that were paid for are in the journal, and the same command goes on from there."
WITHOUT_FRESH = "Answers that were paid for are in the journal; the same command without --fresh goes on from there."
FROM_THE_START = "The local model keeps no journal; the same command starts again."


class Meter:
    """Turns what is known after each answer into a line.

    Args:
        started: When the first question was asked, on the monotonic clock, in seconds.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self.last: Progress | None = None

    def facts(self, seen: Progress) -> str:
        """Everything but how many are done, as people read it."""
        self.last = seen
        rate = (seen.done - seen.cached) / max(time.monotonic() - self._started, 1e-3)
        facts = [f"{rate:,.0f}/s"]
        if seen.cached:
            facts.append(f"{seen.cached:,} from the journal")
        if seen.failed:
            facts.append(f"{seen.failed:,} failed")
        if seen.retried:
            facts.append(f"{seen.retried:,} asked again")
        if seen.in_flight:
            facts.append(f"{seen.in_flight} in flight")
        if seen.spent_usd:
            facts.append(f"${seen.spent_usd:.4f}")
        return ", ".join(facts)

    def seconds_left(self, seen: Progress) -> float:
        """At the rate so far; answers of the journal came at once and say nothing about it."""
        fresh = seen.done - seen.cached
        return (seen.total - seen.done) * (time.monotonic() - self._started) / fresh if fresh else 0.0


@contextmanager
def watching(step: str, resume: str = SAME_COMMAND) -> Iterator[Watch]:
    """Show how far something is. Ctrl-C and SIGTERM end it with a word on how to go on.

    Args:
        step: What is being done.
        resume: How to go on after it was stopped.

    Raises:
        click.exceptions.Exit: it was interrupted.
    """
    meter = Meter(time.monotonic())
    try:
        with hearing() as heard, on_terminal(step, meter) if err.is_terminal else in_lines(step, meter) as show:

            def watch(seen: Progress) -> None:
                show(seen)
                if heard:
                    raise SystemExit(128 + heard[0])

            yield watch
    except SystemExit as stopped:
        if stopped.code not in {128 + number for number in SIGNALS}:
            raise
        seen = meter.last
        done = f"{seen.done:,} of {seen.total:,} articles were answered" if seen else "Nothing was answered yet"
        err.print(f"Stopped. {done}. {resume}", soft_wrap=True)
        raise click.exceptions.Exit(int(stopped.code)) from None


@contextmanager
def on_terminal(step: str, meter: Meter) -> Iterator[Watch]:
    """A bar that moves."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Bar(*columns, console=err, transient=True) as bar:
        task = bar.add_task(step, total=None, facts="")

        def watch(seen: Progress) -> None:
            bar.update(task, completed=seen.done, total=seen.total, facts=meter.facts(seen))

        yield watch


@contextmanager
def in_lines(step: str, meter: Meter) -> Iterator[Watch]:
    """A line every ten seconds, and one at the end."""
    written = time.monotonic()

    def watch(seen: Progress) -> None:
        nonlocal written
        facts = meter.facts(seen)
        if seen.done == seen.total or time.monotonic() - written >= PLAIN_EVERY_S:
            written = time.monotonic()
            left = f", {meter.seconds_left(seen):.0f} s left" if seen.done < seen.total else ""
            err.print(f"{step}: {seen.done:,} of {seen.total:,} answered, {facts}{left}", soft_wrap=True)

    yield watch
