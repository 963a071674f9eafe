"""What the agent does for MLflow's scoring server (`mlflow models serve`), which takes no settings for any of it."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from agent.errors import DataError, NewsClassifierError

SCORING_APP = "mlflow.pyfunc.scoring_server.app"
"""Is imported by the server, and loads the model on being imported."""
SERVER_LOG = "uvicorn.error"
"""Where uvicorn says that it has started, among other things."""
_logger = logging.getLogger(__name__)


class Refused(MlflowException):
    """What a caller is told, and no more: MLflow's server would put the whole request, article included, before it.

    Args:
        message: What is told.
        error_code: One of MLflow's; decides the HTTP status.
    """

    def __init__(self, message: str, error_code: int) -> None:
        self._told = message
        super().__init__(message, error_code)

    @property
    def message(self) -> str:
        """What was told first."""
        return self._told

    @message.setter
    def message(self, longer: str) -> None:
        """Leave it at that."""


@contextmanager
def refusals() -> Iterator[None]:
    """Whatever goes wrong inside is told in one line, because MLflow's server sends the traceback of all but its own.

    Raises:
        Refused: HTTP 400 where the request is wrong, 500 where something else is.
    """
    try:
        yield
    except DataError as err:
        raise Refused(str(err), INVALID_PARAMETER_VALUE) from err
    except NewsClassifierError as err:
        raise Refused(str(err), INTERNAL_ERROR) from err
    except MlflowException:
        raise
    except Exception as err:
        _logger.exception("A defect")
        raise Refused(f"A defect: {type(err).__name__}. The server's log says more.", INTERNAL_ERROR) from err


def make_room(requests: int) -> None:
    """Let the scoring server, if it is what loads the agent in this process, answer so many requests at once.

    It answers them in the default threads of its event loop, four more than there are processors, which is too few for
    an agent that only waits for a service.
    """
    if SCORING_APP in sys.modules:
        room = Room(requests)
        room.take()
        logging.getLogger(SERVER_LOG).addFilter(room)


class Room(logging.Filter):
    """Gives more threads to the event loop in which it is first met.

    With one worker uvicorn loads the model before there is a loop, and nothing of ours is called in that loop later but
    what looks at the lines that uvicorn logs when it has started.
    """

    def __init__(self, requests: int) -> None:
        super().__init__()
        self._requests = requests
        self._is_taken = False

    def take(self) -> None:
        """Give the loop that runs here, if one does, its threads."""
        if self._is_taken:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._is_taken = True
        loop.set_default_executor(ThreadPoolExecutor(self._requests, thread_name_prefix="news-classifier-request"))

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line pass."""
        self.take()
        return True
