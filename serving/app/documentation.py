"""/openapi.json and /docs."""

from starlette.routing import Route

from serving.app.settings import Limits


def documentation_routes(limits: Limits) -> list[Route]:
    """The routes that describe the others."""
    return []
