"""Puts the parts of the server together and runs them."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from agent.errors import ConfigError
from agent.redaction import redact_logs
from serving.app.answering import Answering
from serving.app.control import Control
from serving.app.documentation import documentation_routes
from serving.app.fleet import ROLES, Fleet, Role
from serving.app.guard import LOOPBACK_NAMES, Guard
from serving.app.keys import Keys
from serving.app.metrics import Metrics
from serving.app.problems import Problem
from serving.app.protocol import impatient
from serving.app.routes import Routes
from serving.app.settings import ServingSettings
from serving.app.traffic import TrafficControl
from serving.app.versions import Source, Wanted
from serving.app.watch import RESTART_S, Unreadable, watching
from serving.golden import SmokeSet
from serving.predictions.article_key import ArticleKey
from serving.predictions.log import PredictionLog

BACKLOG = 2048
PREFIX = "news-classifier-"
"""Of the temporary folder."""
KEEP_ALIVE_S = 75
"""Longer than clients and load balancers keep idle connections, so that no request meets one that is being closed."""
log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where the server listens and what it keeps."""

    host: str
    port: int
    workers: int
    state: Path

    @property
    def url(self) -> str:
        """What it is asked at on this machine."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class Server:
    """One server.

    Args:
        source: Where the versions come from.
        place: Where it listens.
        settings: Everything else.
        smoke: What a version has to answer before it serves.
    """

    def __init__(self, source: Source, place: Place, settings: ServingSettings, smoke: SmokeSet) -> None:
        self._source = source
        self._place = place
        self._settings = settings
        self._wanted = Wanted(source.fixed)
        self._changed = asyncio.Event()
        make_folder(place.state)
        self._metrics = Metrics()
        self._fleet = Fleet(place.workers, settings, smoke, self._metrics)
        self._traffic = TrafficControl(settings.traffic, settings.halt, place.state)
        self._log = PredictionLog(settings.predictions, place.state)
        self._answering = Answering(
            self._fleet,
            self._traffic,
            self._log,
            ArticleKey(place.state),
            self._metrics,
            keep_text=settings.predictions.keep_text,
        )
        self._control = Control(self._traffic, self._apply_traffic)

    def run(self) -> None:
        """Serve until the process is told to stop.

        Raises:
            ConfigError: the address cannot be listened on, or the state folder not be written.
        """
        listening = self._listen()
        self._control.announce(self._place.state, self._place.url)
        gc.collect()
        gc.freeze()  # what was imported stays; it need not be gone through again and again
        gc.set_threshold(20_000)
        uvicorn.Server(
            uvicorn.Config(
                self.app(),
                loop="uvloop",
                http=impatient(self._settings.limits.body_timeout_s),
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(self._settings.limits.shutdown_s),
            )
        ).run(sockets=[listening])

    def _listen(self) -> socket.socket:
        """Listen before anything is started, so that a second server on the same port disturbs nothing."""
        place = self._place
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        try:
            return socket.create_server((place.host, place.port), family=family, backlog=BACKLOG)
        except OSError as err:
            raise ConfigError(
                f"{place.host}:{place.port} cannot be listened on: {err.strerror}. Choose another --port or --host."
            ) from err

    def app(self) -> Guard:
        """The ASGI application."""
        limits = self._settings.limits
        routes = Routes(self._answering, self._fleet, self._metrics, self._refresh, limits.articles).all()
        documentation = documentation_routes(self._settings) if self._settings.docs else []
        is_local = self._place.host in LOOPBACK_NAMES
        hosts = {*LOOPBACK_NAMES, *self._settings.allowed_hosts} if is_local else self._settings.allowed_hosts
        router = Router(
            [*routes, *documentation, self._control.route()],
            redirect_slashes=False,
            default=not_found,
            lifespan=self._lifespan,
        )
        paths = [route.path for route in (*routes, *documentation)]
        return Guard(router, limits, Keys(self._settings.api_keys), hosts, self._metrics, paths)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Everything that runs beside answering."""
        self._log.start()
        await self._fleet.begin()
        tasks = [asyncio.create_task(without_end(self._keep))]
        with contextlib.ExitStack() as stack:  # what was downloaded stays until no worker needs it
            if self._source.fixed is None:
                downloads = Path(stack.enter_context(TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)))
                tasks.append(asyncio.create_task(without_end(partial(self._follow, downloads))))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._answering.finish(), self._settings.limits.shutdown_s)
                await self._fleet.close()
                await asyncio.to_thread(self._log.close)

    async def _follow(self, downloads: Path) -> None:
        """Take note of what the registry says."""
        source = self._source
        try:
            async with watching(source.name, source.aliases, self._settings.watch, downloads) as found:
                async for news in found:
                    self._metrics.registry_unreadable.set(isinstance(news, Unreadable) or news.unknown is not None)
                    self._take_note(news)
        finally:
            self._metrics.registry_unreadable.set(1)

    def _take_note(self, news: Wanted | Unreadable) -> None:
        if isinstance(news, Unreadable):
            log.error("The registry cannot be read; whoever serves goes on. %s", news)
            return
        if news.champion is None:
            log.error("%s has no %r yet. Make one: news-classifier run.", self._source.name, self._source.aliases[0])
        if news.unknown:
            log.error("The challenger cannot be read; whoever is it goes on. %s", news.unknown)
            news = news._replace(challenger=self._wanted.challenger)
        self._wanted = news
        self._changed.set()

    async def _keep(self) -> None:
        """Make what serves what is wanted, whenever that changes, and again where it did not work."""
        while True:
            await self._show()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._settings.watch.every_s)
            self._changed.clear()

    async def _show(self) -> Mapping[Role, str]:
        return await self._fleet.show(self._wanted, with_challenger=self._traffic.needs_challenger)

    async def _apply_traffic(self) -> str | None:
        """Have the challenger there or gone, as the shares need it. Returns why that did not work."""
        if not self._traffic.needs_challenger:
            self._changed.set()  # it gets no articles from now on; its end need not be waited for
            return None
        if self._wanted.challenger is None:
            return self._wanted.unknown or f"{self._source.name} has no challenger."
        return (await self._show()).get("challenger")

    def _refresh(self) -> None:
        """Bring the figures up to date that nobody counts."""
        for role in ROLES:
            pool = self._fleet.pool(role)
            self._metrics.workers.labels(role).set(pool.workers if pool else 0)
            self._metrics.provider_down.labels(role).set(bool(pool and pool.is_down))
        self._metrics.halted.set(bool(self._traffic.shares.halted))
        self._metrics.log_waiting.set(self._log.waiting)
        self._metrics.log_written.set(self._log.written)
        self._metrics.log_dropped.set(self._log.dropped)
        self._metrics.log_failing.set(self._log.failed)


async def without_end(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something for as long as the server runs, and again where it failed: without it no new champion is noticed."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("What keeps the versions up to date failed and is started again")
        await asyncio.sleep(RESTART_S)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """There is nothing at this address."""
    if scope["type"] == "http":
        raise Problem(HTTPStatus.NOT_FOUND, "There is nothing here. The routes are listed at /openapi.json.")


def make_folder(state: Path) -> None:
    """Make the state folder, which is its owner's alone. Raises ConfigError."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(
            f"The state folder {str(state)!r} cannot be made: {err.strerror}. Give another --state."
        ) from err


def check_place(place: Place, settings: ServingSettings, *, without_keys: bool) -> None:
    """Refuse to be open to everybody by mistake.

    Raises:
        ConfigError: others than this machine can ask, and no key is needed.
    """
    if place.host not in LOOPBACK_NAMES and not settings.api_keys and not without_keys:
        raise ConfigError(
            f"On {place.host!r} everybody who reaches this machine could ask. Make a key with 'news-classifier serve "
            "key NAME' and put it into config/serving.yaml, or say --no-keys where something else checks who asks."
        )


def set_up_logs(level: int = logging.INFO) -> None:
    """One line for each event on standard error, without secrets."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    redact_logs()
