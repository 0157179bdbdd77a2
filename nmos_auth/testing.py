"""For the tests of Nodes: a stand-in for the Authorization Server, and tokens of any kind."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from nmos_auth.errors import ConfigurationError
from nmos_auth.middleware import NmosAuthMiddleware
from nmos_auth.operate.layers import layers_of
from nmos_auth.rules.permissions import CLAIM_PREFIX
from nmos_auth.rules.tokens import ALGORITHM
from nmos_auth.settings import Discovery, IssuerPolicy, Settings
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile

__all__ = ["Protection", "StandInAuthorizationServer", "authorization_server", "protect"]

_JWKS_PATH = "/jwks"
_METADATA_PATH = "/.well-known/oauth-authorization-server"
_KEY_SIZE = 2048

Specifiers = Mapping[str, Sequence[str]]


class StandInAuthorizationServer:
    """Signs any token that a test needs; the middleware can fetch its key.

    `authorization_server` runs one.

    Attributes:
        issuer: the issuer identifier, an http URL on loopback.
        audience: the name of the Node under test, which settings and tokens share.
    """

    def __init__(
        self, issuer: str, directory: Path, *, audience: str, clock: Callable[[], float]
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self._clock = clock
        self._key = RSAKey.generate_key(_KEY_SIZE, auto_kid=True)
        self._keys_file = directory / "keys.json"
        self._audit_log = directory / "audit.log"
        kept = KeptIssuer(parse_jwks(self._jwks()).keys, clock())
        KeysFile(self._keys_file).save({issuer: kept})

    def settings(self, **changes: Any) -> Settings:  # noqa: ANN401 - Settings checks every one
        """Return settings for a middleware that only trusts this server.

        They include its key, so that the first request is not answered 503 and every refusal is
        final at once. With `settings(servers=server.issuer, static_keys_file=None)` the middleware
        fetches the key.

        Args:
            changes: changed settings, as arguments of `Settings`.

        Raises:
            ConfigurationError: a change is not valid.
        """
        values: dict[str, object] = {
            "audience": self.audience,
            "static_keys_file": self._keys_file,
            "discovery": Discovery.OFF,
            "allow_http": True,
            "issuer_policy": IssuerPolicy.CONFIGURED,
            "audit_log": str(self._audit_log),
        }
        return Settings(**{**values, **changes})

    def token(
        self,
        *,
        read: Specifiers | None = None,
        write: Specifiers | None = None,
        client_id: str = "client-of-a-test-0001",
        lifetime: float = 300,
        claims: Mapping[str, object] | None = None,
    ) -> str:
        """Sign a token, by default one that names the Node and permits nothing.

        Args:
            read: path specifiers for reading, by API.
            write: path specifiers for writing, by API.
            client_id: the client that the token was issued to.
            lifetime: seconds until it expires; negative for an expired token.
            claims: further or changed claims; None leaves a claim out.

            >>> server.token(read={"node": ["*"]}, write={"connection": ["single/*"]})
            ... # doctest: +SKIP
        """
        now = int(self._clock())
        permissions: dict[str, dict[str, list[str]]] = {}
        for verb, by_api in (("read", read or {}), ("write", write or {})):
            for api, specifiers in by_api.items():
                permissions.setdefault(api, {})[verb] = list(specifiers)
        everything: dict[str, object] = {
            "iss": self.issuer,
            "sub": client_id,
            "aud": [self.audience],
            "iat": now + min(0, int(lifetime)),
            "exp": now + lifetime,
            "client_id": client_id,
            "scope": " ".join(permissions),
            **{CLAIM_PREFIX + api: granted for api, granted in permissions.items()},
            **(claims or {}),
        }
        present = {name: value for name, value in everything.items() if value is not None}
        header = {"typ": "JWT", "alg": ALGORITHM, "kid": self._key.kid}
        return jwt.encode(header, present, self._key, algorithms=[ALGORITHM])

    def headers(self, token: str) -> dict[str, str]:
        """Return the headers of a request that presents a token (RFC 6750 Section 2.1)."""
        return {"Authorization": f"Bearer {token}"}

    def document(self, path: str) -> object | None:
        """Return what the server answers at a path: its metadata, its keys, or nothing."""
        if path == _METADATA_PATH:
            return {"issuer": self.issuer, "jwks_uri": self.issuer + _JWKS_PATH}
        return self._jwks() if path == _JWKS_PATH else None

    def _jwks(self) -> dict[str, object]:
        return {"keys": [self._key.as_dict(private=False)]}


class _Listener(ThreadingHTTPServer):
    document: Callable[[str], object | None]

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Print nothing if the middleware has hung up, as when a test ends during a fetch."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        document = self.server.document(self.path)
        body = json.dumps(document).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        """Log nothing: background fetches are not under test."""


@contextlib.contextmanager
def authorization_server(
    audience: str = "node.example.com", *, clock: Callable[[], float] = time.time
) -> Iterator[StandInAuthorizationServer]:
    """Run a stand-in for the Authorization Server on loopback until the block ends.

    It listens over http, which its settings allow. It keeps keys and the audit log of the
    middleware in a directory of its own, which it removes at the end.

    Args:
        audience: the name of the Node under test.
        clock: seconds since 1970 UTC, from which tokens get their times.

        >>> with authorization_server() as server:  # doctest: +SKIP
        ...     app.add_middleware(NmosAuthMiddleware, settings=server.settings())
    """
    with (
        tempfile.TemporaryDirectory(prefix="nmos-auth-testing-") as directory,
        _Listener(("127.0.0.1", 0), _Handler) as listener,
    ):
        server = StandInAuthorizationServer(
            f"http://127.0.0.1:{listener.server_port}",
            Path(directory),
            audience=audience,
            clock=clock,
        )
        listener.document = server.document
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


class Protection:
    """An app whose middleware has other settings, until the block ends or `undo` is called."""

    def __init__(self, undo: Sequence[Callable[[], None]]) -> None:
        self._undo = list(undo)

    def __enter__(self) -> Self:
        """Return itself: the settings are already in place."""
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the app's own settings."""
        self.undo()

    def undo(self) -> None:
        """Restore the app's own settings, once."""
        while self._undo:
            self._undo.pop()()


def protect(app: ASGIApp, settings: Settings) -> Protection:
    """Replace the settings of the NmosAuthMiddleware of an existing app.

    The middleware may have been added to a Starlette or FastAPI app, or to one mounted in it, or
    may be wrapped around an app. The settings are used from the app's next start, so that several
    tests can run one after the other with an app that is imported once.

    Args:
        app: the app as its module made it.
        settings: the settings to use instead of its own.

    Returns:
        An object that restores the own settings: use it as a context manager, or call `undo`.

    Raises:
        ConfigurationError: `app` has no NmosAuthMiddleware.

        >>> with protect(app, server.settings()), TestClient(app) as client:  # doctest: +SKIP
        ...     client.get("/x-nmos/node/v1.3/self", headers=server.headers(server.token()))
    """
    undo: list[Callable[[], None]] = []
    for each in layers_of(app):
        if isinstance(each, NmosAuthMiddleware):
            undo.append(_resettle(each, settings))
        elif isinstance(each, Starlette):
            undo.extend(_replace_in(each, settings))
    if not undo:
        raise ConfigurationError(
            "protect() found no NmosAuthMiddleware in the app; add it with"
            " app.add_middleware(NmosAuthMiddleware), or pass the middleware around the app"
        )
    return Protection(undo)


def _replace_in(app: Starlette, settings: Settings) -> Iterator[Callable[[], None]]:
    for number, middleware in enumerate(app.user_middleware):
        kind: object = middleware.cls
        if kind is NmosAuthMiddleware:
            clock: Callable[[], float] = middleware.kwargs.get("clock", time.time)  # type: ignore[assignment]
            changed = Middleware(NmosAuthMiddleware, settings, clock=clock)
            yield _put(app, number, changed, back=middleware)


def _put(
    app: Starlette, number: int, middleware: Middleware, *, back: Middleware
) -> Callable[[], None]:
    app.user_middleware[number] = middleware
    app.middleware_stack = None  # built from `user_middleware` with the next start

    def undo() -> None:
        app.user_middleware[number] = back
        app.middleware_stack = None

    return undo


def _resettle(middleware: NmosAuthMiddleware, settings: Settings) -> Callable[[], None]:
    former, server = dict(middleware.__dict__), middleware.resource_server
    clock = time.time if server is None else server.clock
    middleware.__dict__.update(NmosAuthMiddleware(middleware.app, settings, clock=clock).__dict__)
    return lambda: middleware.__dict__.update(former)
