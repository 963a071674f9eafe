"""Changing the shares of a running server: a route whose token only the owner of the state folder can read."""

import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.errors import ConfigError
from serving.app.problems import Problem
from serving.app.settings import Traffic
from serving.app.traffic import Shares, TrafficControl

CONTROL_PATH = "/traffic"
CONTROL_FILE = "control.json"
TOKEN_HEADER = "X-Control-Token"
MEDIA_TYPE = "application/json"


class Control:
    """The route.

    Args:
        traffic: What is changed.
        apply: Makes the fleet fit; returns why that did not work, or None.
    """

    def __init__(self, traffic: TrafficControl, apply: Callable[[], Awaitable[str | None]]) -> None:
        self._traffic = traffic
        self._apply = apply
        self._token = secrets.token_urlsafe(32)

    def route(self) -> Route:
        """For the router."""
        return Route(CONTROL_PATH, self.answer, methods=["GET", "PUT"])

    def announce(self, folder: Path, url: str) -> None:
        """Write where the server is and its token into the state folder, for its owner alone. Raises ConfigError."""
        path = folder / CONTROL_FILE
        try:
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump({"url": url, "token": self._token}, file)
        except OSError as err:
            raise ConfigError(f"{path} cannot be written: {err.strerror}. Give another --state.") from err

    async def answer(self, request: Request) -> Response:
        """Show the shares, or change them."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self._token.encode()):
            raise Problem(HTTPStatus.UNAUTHORIZED, "This route is for 'news-classifier serve traffic'.")
        if request.method == "PUT":
            await self._change(await request.body())
        return Response(to_json(self._traffic.shares.model_dump()), media_type=MEDIA_TYPE)

    async def _change(self, body: bytes) -> None:
        try:
            wanted = Shares(**Traffic.model_validate_json(body).model_dump())
        except ValidationError as err:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Shares are whole numbers from 0 to 100.") from err
        before = self._traffic.shares
        if not wanted.challenger_percent:  # what was taken away is not given back
            wanted = wanted.model_copy(update={"halted": before.halted})
        self._traffic.change(wanted)
        if problem := await self._apply():
            self._traffic.change(before)
            raise Problem(HTTPStatus.CONFLICT, problem)
