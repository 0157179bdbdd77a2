"""The status of a Node: a snapshot for people and programs, and routes that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from nmos_auth.errors import ConfigurationError
from nmos_auth.request.handling import handling_in, token_in
from nmos_auth.rules.access_token import AccessToken

if TYPE_CHECKING:
    from nmos_auth.audit.counts import AuditStatus, Label
    from nmos_auth.client import AuthorizationClient
    from nmos_auth.client.tokens.source import TokenStatus
    from nmos_auth.request.resource_server import ResourceServer
    from nmos_auth.trust.status import IssuerStatus

__all__ = ["Status", "liveness", "readiness", "status_of", "status_route", "status_routes"]


@dataclass(frozen=True, slots=True)
class Status:
    """The present state of the resource server. It contains no secret.

    Attributes:
        enabled: false if NMOS_AUTH_ENABLED is false, and every request passes.
        ready: whether a token can be verified: a key of a trusted issuer is held, or nothing is
            verified.
        audience: the names of this server.
        issuers: the trusted issuers and their confirmed neighbours, with their keys.
        discovered: whether every way of discovery that is used has answered.
        audit: the audit log, with the decisions since the start.
        tokens: the tokens of the client half, if a client was passed.
    """

    enabled: bool
    ready: bool
    audience: tuple[str, ...] = ()
    issuers: tuple[IssuerStatus, ...] = ()
    discovered: bool = True
    audit: AuditStatus | None = None
    tokens: tuple[TokenStatus, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return an object for `json.dumps`; times are in seconds."""
        audit: dict[str, object] | None = None
        if self.audit is not None:
            audit = {
                "destination": self.audit.destination,
                "waiting": self.audit.waiting,
                "lost": self.audit.lost,
                "limited": self.audit.limited,
            }
        return {
            "enabled": self.enabled,
            "ready": self.ready,
            "audience": list(self.audience),
            "discovered": self.discovered,
            "issuers": [asdict(each) for each in self.issuers],
            "decisions": [] if self.audit is None else _decisions(self.audit.decisions),
            "audit": audit,
            "tokens": [asdict(each) for each in self.tokens],
        }


def _decisions(counts: Mapping[Label, int]) -> list[dict[str, object]]:
    return [{**label._asdict(), "count": count} for label, count in sorted(counts.items())]


def status_of(server: ResourceServer | None, client: AuthorizationClient | None = None) -> Status:
    """Return the status of a resource server.

    Args:
        server: the resource server; None where authorization is switched off.
        client: the client half of the same process, or None.
    """
    tokens = () if client is None else client.status()
    if server is None:
        return Status(enabled=False, ready=True, tokens=tokens)
    trust = server.trust()
    return Status(
        enabled=True,
        ready=trust.has_keys,
        audience=tuple(server.audience),
        issuers=trust.issuers,
        discovered=trust.is_settled,
        audit=server.audit.status(),
        tokens=tokens,
    )


def _server_of(request: Request) -> ResourceServer | None:
    if (handling := handling_in(request.scope)) is not None:
        return handling.server
    if token_in(request.scope) == AccessToken.unrestricted():
        return None
    raise ConfigurationError(
        "status requires the middleware: app.add_middleware(NmosAuthMiddleware), and a path outside"
        " /x-nmos"
    )


def status_route(path: str = "/status", *, client: AuthorizationClient | None = None) -> Route:
    """Return a route that shows the snapshot as JSON.

    It shows issuers, keys and audiences, but no secret; the app decides who may read it.

    Args:
        path: the path, outside `/x-nmos`.
        client: the client half, to show the remaining seconds of its tokens too.

        >>> app.router.routes.append(status_route())  # doctest: +SKIP
    """

    async def show(request: Request) -> Response:
        status = status_of(_server_of(request), client)
        return JSONResponse(status.as_json(), headers={"cache-control": "no-store"})

    return Route(path, show, methods=["GET"], name="nmos_auth_status", include_in_schema=False)


def readiness(path: str = "/ready") -> Route:
    """Return a route that answers 200 once tokens can be verified, and 503 until then.

    A load balancer that asks it does not send requests to a process that would answer 503. It says
    nothing else, so that anybody may ask.

    Args:
        path: the path, outside `/x-nmos`.
    """

    async def answer(request: Request) -> Response:
        server = _server_of(request)
        ready = server is None or server.trust().has_keys
        headers = {"cache-control": "no-store"} | ({} if ready else {"retry-after": "1"})
        return JSONResponse({"ready": ready}, 200 if ready else 503, headers)

    return Route(path, answer, methods=["GET"], name="nmos_auth_ready", include_in_schema=False)


def liveness(path: str = "/live") -> Route:
    """Return a route that answers 200 as long as the process answers.

    It depends on nothing else: a process should not be restarted because a server is down.

    Args:
        path: the path, outside `/x-nmos`.
    """

    async def answer(_: Request) -> Response:
        return JSONResponse({"live": True}, headers={"cache-control": "no-store"})

    return Route(path, answer, methods=["GET"], name="nmos_auth_live", include_in_schema=False)


def status_routes(*, client: AuthorizationClient | None = None) -> list[BaseRoute]:
    """Return all three: `/status`, `/ready` and `/live`.

    >>> app.router.routes.extend(status_routes())  # doctest: +SKIP
    """
    return [status_route(client=client), readiness(), liveness()]
