"""Errors as callers see them: RFC 9457 problem details, with nothing in them that somebody sent or that is inside."""

from http import HTTPStatus

from pydantic_core import to_json
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
ERROR_CODES = {
    HTTPStatus.BAD_REQUEST: "BAD_REQUEST",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.UNPROCESSABLE_ENTITY: "INVALID_PARAMETER_VALUE",
    HTTPStatus.TOO_MANY_REQUESTS: "REQUEST_LIMIT_EXCEEDED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's word for a status, for clients of MLflow's; `BAD_REQUEST` for any other."""


CALLER_LEFT = 499
"""nginx's status for a caller who is gone before the answer; counted, and sent to nobody."""


class CallerLeft(Exception):
    """Nobody waits for the answer any more."""


class Problem(Exception):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        detail: What is wrong and what to do, without anything of the request in it.
        headers: Further headers.
    """

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def fields(self, request_id: str) -> dict[str, object]:
        """The body; `error_code` and `message` are where MLflow's clients look."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "request_id": request_id,
            "error_code": ERROR_CODES.get(self.status, "BAD_REQUEST"),
            "message": self.detail,
        }

    def response(self, request_id: str) -> Response:
        """The answer."""
        return Response(to_json(self.fields(request_id)), int(self.status), self.headers, MEDIA_TYPE)


def busy(detail: str, retry_after_s: int = 1) -> Problem:
    """A 503 that says when to come back."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, Retry_After=str(retry_after_s))


def unsupported(allowed: str) -> Problem:
    """A 415."""
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {allowed} (header Content-Type).")


def wrong_shape(detail: str) -> Problem:
    """A 422."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
