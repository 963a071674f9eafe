"""Puts the parts of the server together and runs them."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from agent.redaction import redact_logs
from serving.app.answering import Answering
from serving.app.control import Control
from serving.app.documentation import documentation_routes
from serving.app.fleet import ROLES, Fleet
from serving.app.following import Following
from serving.app.guard import Guard
from serving.app.keys import Keys
from serving.app.metrics import Metrics
from serving.app.place import LOOPBACK_NAMES, Place
from serving.app.problems import Problem
from serving.app.protocol import impatient
from serving.app.routes import Routes
from serving.app.settings import ServingSettings
from serving.app.traffic import TrafficControl
from serving.app.versions import Source
from serving.golden import SmokeSet
from serving.predictions.article_key import ArticleKey
from serving.predictions.log import PredictionLog

PREFIX = "news-classifier-"
"""Of the temporary folder."""
KEEP_ALIVE_S = 75
"""Longer than clients and load balancers keep idle connections, so that no request meets one that is being closed."""
CLOSING_SHARE, LONGEST_CLOSING_S = 0.25, 8.0
"""Of the time to end: what is kept for the log when nothing is answered any more."""


class Listener(uvicorn.Server):
    """Uvicorn, which notes when it is told to stop, so that all that ends shares one limit."""

    answers_until = 0.0
    """Until when what is in flight may take then, on the loop's clock, in seconds."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self.answers_until = asyncio.get_running_loop().time() + (self.config.timeout_graceful_shutdown or 0)
        await super().shutdown(sockets)


class Server:
    """One server.

    Args:
        source: Where the versions come from.
        place: Where it listens.
        settings: Everything else.
        smoke: What a version has to answer before it serves.
    """

    def __init__(self, source: Source, place: Place, settings: ServingSettings, smoke: SmokeSet) -> None:
        self._place = place
        self._settings = settings
        self._closing_s = min(LONGEST_CLOSING_S, CLOSING_SHARE * settings.limits.shutdown_s)
        self._listener: Listener
        place.claim()
        self._metrics = Metrics()
        self._fleet = Fleet(place.workers, settings, smoke, self._metrics)
        self._traffic = TrafficControl(settings.traffic, settings.halt, place.state)
        self._following = Following(source, settings.watch, self._fleet, self._traffic)
        self._log = PredictionLog(settings.predictions, place.state)
        self._answering = Answering(
            self._fleet,
            self._traffic,
            self._log,
            ArticleKey(place.state),
            self._metrics,
            keep_text=settings.predictions.keep_text,
        )
        self._control = Control(self._traffic, self._following.apply_shares)

    def run(self) -> None:
        """Serve until the process is told to stop.

        Raises:
            ConfigError: the address cannot be listened on, or the state folder not be written.
        """
        listening = self._place.listen()
        self._control.announce(self._place.state, self._place.url)
        gc.collect()
        gc.freeze()  # what was imported stays; it need not be gone through again and again
        gc.set_threshold(20_000)
        answers_s: Any = self._settings.limits.shutdown_s - self._closing_s  # asyncio takes parts of a second, too
        self._listener = Listener(
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
                timeout_graceful_shutdown=answers_s,
            )
        )
        self._listener.run(sockets=[listening])

    def app(self) -> Guard:
        """The ASGI application."""
        limits = self._settings.limits
        routes = Routes(self._answering, self._fleet, self._metrics, self._refresh, limits.articles).all()
        documentation = documentation_routes(self._settings) if self._settings.docs else []
        hosts = {*LOOPBACK_NAMES, *self._settings.allowed_hosts} if self._place.is_local else ()
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
        with TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as downloads:
            tasks = self._following.begin(Path(downloads))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._listener.answers_until):
                        await self._answering.finish()
                await self._fleet.close()
                await asyncio.to_thread(self._log.close, self._closing_s)

    def _refresh(self) -> None:
        """Bring the figures up to date that nobody counts."""
        for role in ROLES:
            pool = self._fleet.pool(role)
            self._metrics.workers.labels(role).set(pool.workers if pool else 0)
            self._metrics.provider_down.labels(role).set(bool(pool and pool.is_down))
        self._metrics.registry_unreadable.set(self._following.is_blind)
        self._metrics.halted.set(bool(self._traffic.shares.halted))
        self._metrics.log_waiting.set(self._log.waiting)
        self._metrics.log_written.set(self._log.written)
        self._metrics.log_dropped.set(self._log.dropped)
        self._metrics.log_failing.set(self._log.failed)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """There is nothing at this address."""
    if scope["type"] == "http":
        raise Problem(HTTPStatus.NOT_FOUND, "There is nothing here. The routes are listed at /openapi.json.")


def set_up_logs(level: int = logging.INFO) -> None:
    """One line for each event on standard error, without secrets."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    redact_logs()
