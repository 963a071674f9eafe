"""The least that a Starlette server with aiohttp does: forwards every body to one address and returns its answer.

python bench/bare_proxy.py PORT ADDRESS
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer sk-echo"}


def proxy(address: str) -> Starlette:
    """The application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS) as session:
            yield {"session": session}

    async def forward(request: Request) -> Response:
        async with request.state.session.post(address, data=await request.body()) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    return Starlette(routes=[Route("/", forward, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(
        proxy(sys.argv[2]),
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
    )
