"""The FastAPI edge: what handlers ask for, and what the OpenAPI document says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from fastapi import FastAPI
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from nmos_auth.errors import ConfigurationError
from nmos_auth.paths import api_path
from nmos_auth.tokens import AccessToken

__all__ = [
    "STATE_EXCHANGE",
    "STATE_TOKEN",
    "AccessTokenDependency",
    "Identifying",
    "access_token",
    "describe_security",
]

STATE_TOKEN = "access_token"  # noqa: S105 - a key of scope["state"]
STATE_EXCHANGE = "nmos_auth"

_SCHEME_NAME = "NMOS access token"
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})


@runtime_checkable
class Identifying(Protocol):
    """What the middleware leaves in `scope["state"]` of each request."""

    def identify(self) -> AccessToken:
        """Verify the token of this request."""
        ...


class AccessTokenDependency(SecurityBase):
    """Gives handlers the access token of their request, HTTP and WebSocket alike.

    Where the middleware let the request pass without looking, on a public path or outside
    `/x-nmos`, the token is verified here, its audience included; no permission is checked.

    Raises:
        AuthorizationError: there is no token, or it is not good; the middleware answers.
        ConfigurationError: the app has no NmosAuthMiddleware.
    """

    def __init__(self) -> None:
        self.model = HTTPBearerModel(
            bearerFormat="JWT", description="An access token as AMWA IS-10 has it."
        )
        self.scheme_name = _SCHEME_NAME

    async def __call__(self, connection: HTTPConnection) -> AccessToken:
        """Give the token of this connection."""
        state = connection.scope.get("state", {})
        token = state.get(STATE_TOKEN)
        if isinstance(token, AccessToken):
            return token
        exchange = state.get(STATE_EXCHANGE)
        if not isinstance(exchange, Identifying):
            raise ConfigurationError(
                "access_token needs the middleware: app.add_middleware(NmosAuthMiddleware)"
            )
        return exchange.identify()


access_token = AccessTokenDependency()
"""The dependency: `token: Annotated[AccessToken, Depends(access_token)]`."""


def describe_security(app: object) -> None:
    """Let an app's OpenAPI document show the bearer scheme on the routes that are protected.

    Args:
        app: `scope["app"]`; anything but a FastAPI app is left alone.
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


def _protected_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in document.get("paths", {}).items():
        target = api_path(path, "")
        if target is not None and not target.is_root:
            yield from (item[method] for method in _METHODS & item.keys())
