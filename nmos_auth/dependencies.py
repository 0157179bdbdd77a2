"""The FastAPI edge: the dependencies of handlers, and what the OpenAPI document says."""

# Annotations are objects here, not strings: FastAPI before 0.123.7 reads those of a callable object
# without the names of its module, and takes a name for a query parameter.

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from nmos_auth.errors import ConfigurationError
from nmos_auth.request.handling import Handling, handling_in, token_in
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.authorization import allowed_sources
from nmos_auth.rules.paths import api_path

__all__ = [
    "AccessTokenDependency",
    "EventSources",
    "access_token",
    "describe_security",
    "event_sources",
    "root_path_of",
]

_SCHEME_NAME = "NMOS access token"
# ASGI middleware that may be around an app.
_MOST_LAYERS = 32
_MOST_SOURCES = 10_000
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})


class AccessTokenDependency(SecurityBase):
    """Provides handlers with the access token of their request, for HTTP and WebSocket.

    On a public path or outside `/x-nmos`, where the middleware lets every request pass, the token
    and its audience are verified here; permissions are not checked.

    Raises:
        AuthorizationError: there is no token, or it is not valid; the middleware answers.
        ConfigurationError: the app has no NmosAuthMiddleware.
    """

    def __init__(self) -> None:
        self.model = HTTPBearerModel(
            bearerFormat="JWT", description="An access token of AMWA IS-10."
        )
        self.scheme_name = _SCHEME_NAME

    async def __call__(self, connection: HTTPConnection) -> AccessToken:
        """Return the token of this connection."""
        if (token := token_in(connection.scope)) is not None:
            return token
        if (handling := handling_in(connection.scope)) is None:
            raise ConfigurationError(
                "access_token requires the middleware: app.add_middleware(NmosAuthMiddleware)"
            )
        return handling.identify()


access_token = AccessTokenDependency()
"""The dependency: `token: Annotated[AccessToken, Depends(access_token)]`."""


class EventSources:
    """Decides which sources the client of an IS-07 WebSocket sees.

    Args:
        token: the token of its handshake.
        handling: records the decisions; None while NMOS_AUTH_ENABLED is false.
    """

    def __init__(self, token: AccessToken, handling: Handling | None) -> None:
        self._token = token
        self._handling = handling

    def allowed(self, sources: object) -> tuple[str, ...]:
        """Return the sources of a `subscription` command that the token permits the client to read.

        The audit log gets one record for the command. While the socket is kept open after its token
        expired, the token's claims still decide.

        Args:
            sources: the command's `sources`, as they came. Nothing is permitted if it is not an
                array, or has more than 10,000 entries, each of which takes some microseconds.

        Source: BCP-003-02 "IS-07 - Event and Tally", WebSocket Authorization.

            >>> subscribed = sources.allowed(command["sources"])  # doctest: +SKIP
        """
        asked = _entries(sources)
        allowed = allowed_sources(self._token, asked or ())
        if self._handling is not None:
            permitted = frozenset(allowed)
            self._handling.record_subscription(
                [sources]
                if asked is None
                else [each for each in asked if not (isinstance(each, str) and each in permitted)]
            )
        return allowed


def _entries(sources: object) -> tuple[object, ...] | None:
    """Return the entries of an array that is not too long, or None."""
    if not isinstance(sources, Iterable) or isinstance(sources, (str, bytes, Mapping)):
        return None
    entries = tuple(islice(sources, _MOST_SOURCES + 1))
    return entries if len(entries) <= _MOST_SOURCES else None


async def event_sources(
    connection: HTTPConnection, token: Annotated[AccessToken, Depends(access_token)]
) -> EventSources:
    """Provide the handler of an IS-07 WebSocket with the object that decides on subscriptions.

    >>> sources: Annotated[EventSources, Depends(event_sources)]  # doctest: +SKIP
    """
    return EventSources(token, handling_in(connection.scope))


def describe_security(app: object) -> None:
    """Add the bearer scheme of protected routes to an app's OpenAPI document.

    Args:
        app: `scope["app"]`; an app that is not a FastAPI app is not changed.
    """
    if not isinstance(app, FastAPI):
        return
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operation in _protected_operations(document):
            operation.setdefault("security", [{_SCHEME_NAME: []}])
            document.setdefault("components", {}).setdefault("securitySchemes", {}).setdefault(
                _SCHEME_NAME, access_token.model.model_dump(mode="json", exclude_none=True)
            )
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def root_path_of(app: object) -> str:
    """Return the `root_path` that a FastAPI app sets itself, also behind ASGI middleware; else "".

    Args:
        app: an app, or a middleware that keeps its app as `app`.
    """
    for _ in range(_MOST_LAYERS):
        if isinstance(app, FastAPI):
            return str(app.root_path).strip("/")
        app = getattr(app, "app", None)
    return ""


def _protected_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in document.get("paths", {}).items():
        target = api_path(path, "")
        if target is not None and not target.is_root:
            yield from (item[method] for method in _METHODS & item.keys())
