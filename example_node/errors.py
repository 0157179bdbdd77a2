"""The errors of the Node, and their form in all NMOS APIs.

"For HTTP codes 400 and upwards, a JSON format response MUST be returned", with `code`, `error` and
`debug` (IS-04 and IS-05 "APIs", Error Codes & Responses).
"""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.websockets import WebSocket

logger = logging.getLogger(__name__)

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

_JSON = re.compile(r"application/(?:.+\+)?json")
_MOST_FAULTS = 10
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class NmosError(Exception):
    """A refusal with an NMOS error body; the subclasses name the cases.

    Attributes:
        status: the HTTP status.
        message: a sentence for people.
        debug: a detail for programmers.
    """

    status: int = 500

    def __init__(self, message: str, debug: str | None = None) -> None:
        super().__init__(message)
        self.message = _printable(message)
        self.debug = debug and _printable(debug)


class BadRequestError(NmosError):
    """The request does not meet the schema or the constraints."""

    status = 400


class ForbiddenError(NmosError):
    """The Access Token does not cover this."""

    status = 403


class NotFoundError(NmosError):
    """The resource does not exist."""

    status = 404


class LockedError(NmosError):
    """An activation is scheduled, which locks the staged parameters."""

    status = 423


class NotProvidedError(NmosError):
    """The specification makes this optional, and this Node does not have it."""

    status = 501


class FullError(NmosError):
    """There is no room for more now."""

    status = 503


def found(things: Mapping[str, T], name: str) -> T:
    """Return the resource that a path names.

    Raises:
        NotFoundError: it does not exist.
    """
    try:
        return things[name]
    except KeyError:
        raise NotFoundError("There is no such resource.") from None


def read(model: type[ModelT], value: Mapping[str, object]) -> ModelT:
    """Validate what a client sent, where FastAPI does not.

    Raises:
        BadRequestError: it does not meet the schema.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadRequestError(*describe(error.errors(include_url=False))) from None


def describe(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return a sentence about the first fault that pydantic found, and a line about the first ten.

    A body can have a fault every few bytes, so an answer with all of them would be very large.
    """
    lines = [
        f"{_path(error['loc'])}: {error['msg'].removeprefix('Value error, ')}"
        for error in errors[:_MOST_FAULTS]
    ]
    more = len(errors) - len(lines)
    return lines[0], "; ".join(lines) + (f"; and {more} more" if more else "")


def _path(location: Sequence[int | str]) -> str:
    """Return ("body", "transport_params", 0, "source_ip") as transport_params[0].source_ip."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".body").removeprefix(".") or "body"


def body(status: int, message: str, debug: str | None) -> dict[str, int | str | None]:
    """Return an NMOS error body."""
    return {"code": status, "error": _printable(message), "debug": debug and _printable(debug)}


def _printable(text: str) -> str:
    """Replace halves of surrogate pairs: JSON strings may have them, but no encoding does."""
    return text.encode("utf-8", "backslashreplace").decode()


def install(app: FastAPI, *, readable_by_all: bool = True) -> None:
    """Give every error answer of the app the NMOS form.

    Args:
        app: the application.
        readable_by_all: whether web pages of every origin may read that the Node failed.
    """

    @app.exception_handler(NmosError)
    async def on_nmos_error(connection: HTTPConnection, error: NmosError) -> Response:
        answer = JSONResponse(body(error.status, error.message, error.debug), error.status)
        if isinstance(connection, WebSocket):
            await connection.send_denial_response(answer)
        return answer

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        message, debug = describe(error.errors())
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A body with another Content-Type is not parsed, so that the schema rejects all of it.
        if media_type and not _JSON.fullmatch(media_type):
            message = f"Content-Type is {media_type[:40]}, and must be application/json"
            return JSONResponse(body(415, message, debug), 415)
        return JSONResponse(body(400, message, debug), 400)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        headers = dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join((*_allowed(request), "OPTIONS"))
            if request.method == "OPTIONS":
                return Response(headers=headers)
        message = f"{status.phrase}: {request.method} {request.url.path}"
        return JSONResponse(body(status, message, str(error.detail)), status, headers)

    @app.exception_handler(Exception)
    async def on_failure(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        # This answer is made outside the middleware that adds CORS headers to the others.
        headers = {"Access-Control-Allow-Origin": "*"} if readable_by_all else {}
        return JSONResponse(body(500, "The Node failed.", None), 500, headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods that the routes accept for the request's path."""
    allowed = []
    for method in _METHODS:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            allowed.append(method)
    return allowed
