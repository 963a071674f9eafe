"""Signals end an evaluation, though not in the middle of what it writes."""

import signal
import threading
import weakref
from collections.abc import Iterator

import click
import pytest

from eval.progress import Progress
from eval.stopping import handlers, hearing, uninterrupted
from eval.watching import watching

CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
ONE_OF_TWO = Progress(done=1, total=2, failed=0, retried=0, cached=0, in_flight=0, spent_usd=None)


@pytest.fixture(autouse=True)
def _hears_interrupts() -> Iterator[None]:
    """Also where a shell that started the tests in the background lets them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Referred:
    """Something that can be referred to weakly."""


def interrupt_a_destructor() -> None:
    """Send a signal whose exception Python drops."""
    referred = Referred()
    reference = weakref.ref(referred, lambda reference: signal.raise_signal(signal.SIGINT))
    del referred
    assert reference() is None


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_ends_what_listens_and_the_handlers_come_back(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as raised, hearing() as heard:
        signal.raise_signal(number)
    assert raised.value.code == code
    assert heard == [number]
    assert signal.getsignal(number) == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_ends_it_with_the_next_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """Regression: Ctrl-C during the import of a library was lost, and the articles went on being paid for."""

    def classify() -> None:
        with watching("Classifying") as watch:
            interrupt_a_destructor()
            watch(ONE_OF_TWO)

    with pytest.raises(click.exceptions.Exit) as raised:
        classify()
    assert raised.value.exit_code == 130
    assert "Stopped. 1 of 2 articles were answered." in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), CODES)
def test_the_first_signal_waits_and_the_second_does_not(number: signal.Signals, code: int) -> None:
    """Regression: a signal amid a commit left MLflow's database locked, and the run could not be ended."""
    reached = []

    def write() -> None:
        with hearing() as heard, uninterrupted():
            signal.raise_signal(number)
            reached.append(heard == [number])
            signal.raise_signal(number)
            reached.append(True)

    with pytest.raises(SystemExit) as raised:
        write()
    assert raised.value.code == code
    assert reached == [True], "others can see the first one meanwhile, and the second one ends it"


def test_a_signal_comes_before_the_error_of_what_it_waited_for() -> None:
    def write() -> None:
        with hearing(), uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("MLflow is away")

    with pytest.raises(SystemExit) as raised:
        write()
    assert isinstance(raised.value.__context__, OSError)


def test_ctrl_c_waits_also_where_nobody_listens() -> None:
    reached = []

    def write() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert reached == ["the end"]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with hearing() as heard, uninterrupted():
            signal.raise_signal(signal.SIGINT)
        assert heard == []
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_handlers_alone() -> None:
    found = []

    def look() -> None:
        with hearing(), uninterrupted():
            found.append(handlers())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [{}]
