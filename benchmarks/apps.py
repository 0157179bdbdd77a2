"""What is measured: apps, and the requests they get."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc.jwk import RSAKey
from joserfc.jwt import JWTClaimsRegistry, decode
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.keys import AUDIENCE, ISSUER
from nmos_auth import AccessToken, NmosAuthMiddleware, Settings, access_token
from nmos_auth.audit.log import AuditLog
from nmos_auth.audit.records import NO_TOKEN, Decision, Outcome
from nmos_auth.errors import Reason
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile

__all__ = [
    "DoNothing",
    "Thin",
    "bare_app",
    "environment_of",
    "hush",
    "make_scope",
    "node_app",
    "node_in_base_middleware",
    "node_with_access_token",
    "node_with_idle_dependency",
    "node_with_joserfc",
    "node_with_pyjwt",
    "nothing_received",
    "protected_node",
    "settings_for",
    "status_of",
    "thin_node",
    "unsent",
]

SENDERS = "/x-nmos/node/v1.3/senders/"


def hush() -> None:
    """Keep the middleware from warning that nobody is there to fetch keys from."""
    logging.getLogger("nmos_auth").setLevel(logging.ERROR)


async def bare_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with two bytes."""
    if scope["type"] != "http":
        await _answer_others(scope, receive, send)
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"2"), (b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": b"{}"})


async def _answer_others(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept a handshake and close, or follow the lifespan protocol."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


def _sender(sender_id: str, description: str = "Main output") -> dict[str, object]:
    return {
        "id": sender_id,
        "version": "1764000000:0",
        "label": "Camera 1",
        "description": description,
        "tags": {},
        "flow_id": "36ba7ac4-f0c1-4a4a-8e4d-5a1b0f9dc0c1",
        "transport": "urn:x-nmos:transport:rtp.mcast",
        "device_id": "9126cc2f-4c26-4c9b-a6cd-93c4381c9be5",
        "manifest_href": None,
        "interface_bindings": ["eth0"],
        "subscription": {"receiver_id": None, "active": False},
    }


def node_app(check: Callable[..., object] | None = None) -> FastAPI:
    """Make a Node with one JSON handler, which also tells the CPU seconds it has used.

    Args:
        check: a dependency of the handler.
    """
    app = FastAPI()
    dependencies = [] if check is None else [Depends(check)]

    @app.get(SENDERS + "{sender_id}", dependencies=dependencies)
    async def sender(sender_id: str) -> dict[str, object]:
        return _sender(sender_id)

    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    return app


def protected_node(settings: Settings) -> FastAPI:
    """Make the same Node with the middleware."""
    app = node_app()
    app.add_middleware(NmosAuthMiddleware, settings=settings)
    return app


def node_with_access_token(settings: Settings) -> FastAPI:
    """Make the same Node with the middleware and a handler that asks for the token."""
    app = FastAPI()

    @app.get(SENDERS + "{sender_id}")
    async def sender(
        sender_id: str, token: Annotated[AccessToken, Depends(access_token)]
    ) -> dict[str, object]:
        return _sender(sender_id, token.client_id)

    app.add_middleware(NmosAuthMiddleware, settings=settings)
    return app


def node_with_idle_dependency() -> FastAPI:
    """Make the same Node with a dependency that does nothing."""

    async def nothing() -> None:
        pass

    return node_app(nothing)


bearer = HTTPBearer()


def node_with_pyjwt(pem: bytes) -> FastAPI:
    """Make the same Node with the check that tutorials show: PyJWT decodes on each request.

    Args:
        pem: the public key of the tokens.
    """
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise TypeError("the key is not an RSA key")

    async def claims(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    ) -> dict[str, object]:
        return jwt.decode(
            credentials.credentials,
            key,
            algorithms=["RS512"],
            audience=f"https://{AUDIENCE}",
            issuer=ISSUER,
        )

    return node_app(claims)


def node_with_joserfc(pem: bytes) -> FastAPI:
    """Make the same Node with a check by joserfc, which decodes on each request.

    Args:
        pem: the public key of the tokens.
    """
    key = RSAKey.import_key(pem)
    registry = JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": f"https://{AUDIENCE}"},
        exp={"essential": True},
    )

    async def claims(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    ) -> dict[str, object]:
        token = decode(credentials.credentials, key, algorithms=["RS512"])
        registry.validate(token.claims)
        return token.claims

    return node_app(claims)


class DoNothing(BaseHTTPMiddleware):
    """Starlette's base for middleware, which hands requests on as they are."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Hand on."""
        return await call_next(request)


def node_in_base_middleware() -> FastAPI:
    """Make the same Node with a middleware on Starlette's base that does nothing."""
    app = node_app()
    app.add_middleware(DoNothing)
    return app


class Thin:
    """The least that a middleware can do: find the header, look it up, and log a ready line.

    What it costs is the floor under any check of a token that is known already.
    """

    def __init__(self, app: ASGIApp, log: AuditLog) -> None:
        self._app = app
        self._log = log
        self._lines: dict[tuple[str, bytes], Decision] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and log the status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        credentials = next(value for name, value in scope["headers"] if name == b"authorization")
        key = scope["path"], credentials
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Decision.on(
                Outcome.AUTHORIZED, Reason.PERMITTED, scope["method"], scope["path"], NO_TOKEN
            )

        def watched(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                self._log.record(line, message["status"], scope["client"])
            return send(message)

        await self._app(scope, receive, watched)


def thin_node(log: Path) -> FastAPI:
    """Make the same Node with the thinnest middleware in the same place, and its log in a file."""
    audit = AuditLog(str(log))
    audit.start()
    app = node_app()
    app.add_middleware(Thin, log=audit)
    return app


def settings_for(
    directory: Path,
    name: str,
    keys: Sequence[Mapping[str, object]],
    *,
    audit: bool,
    asks: bool = False,
    room: int | None = None,
) -> Settings:
    """Make the settings of a Node that holds these keys.

    Args:
        directory: takes the keys file and the audit log, `NAME.keys` and `NAME.log`.
        name: sets them apart.
        keys: JWKs of `ISSUER`.
        audit: whether to keep a log; else decisions go to a logger that is disabled.
        asks: whether it also asks for keys, of a server that is not there. Otherwise the keys are
            static, so that no attempt comes between what is measured.
        room: how many tokens, and how many requests, are remembered; None for the defaults.
    """
    keys_file = directory / f"{name}.keys"
    KeysFile(keys_file).save({ISSUER: KeptIssuer(parse_jwks({"keys": keys}).keys)})
    values: dict[str, object] = {
        "audience": AUDIENCE,
        "audit_log": str(directory / f"{name}.log") if audit else "logging",
    }
    if asks:
        values |= {"servers": ISSUER, "keys_file": keys_file}
    else:
        values |= {"discovery": "off", "static_keys_file": keys_file}
    if room is not None:
        values |= {"remembered_tokens": room, "remembered_requests": room}
    return Settings(**values)


def environment_of(settings: Settings) -> dict[str, str]:
    """Write such settings as variables, for a server in a process of its own."""
    return {
        **os.environ,
        "NMOS_AUTH_AUDIENCE": AUDIENCE,
        "NMOS_AUTH_SERVERS": ISSUER,
        "NMOS_AUTH_KEYS_FILE": str(settings.keys_file),
        "NMOS_AUTH_AUDIT_LOG": settings.audit_log,
    }


def make_scope(path: str, token: bytes) -> Scope:
    """Make the scope of a GET, every object in it new, as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"node1.example.com"),
            (b"user-agent", b"controller/1.0"),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
            (b"origin", b"https://controller.example.com"),
            (b"authorization", b"Bearer " + token),
        ],
        "state": {},
    }


async def nothing_received() -> Message:
    """Receive a request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def unsent(message: Message) -> None:
    """Drop what is sent."""


async def status_of(app: ASGIApp, scope: Scope) -> int:
    """Make one request and give the status of its answer."""
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, nothing_received, send)
    (status,) = statuses
    return status
