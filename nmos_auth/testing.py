"""For the tests of Nodes: a stand-in for the Authorization Server, and tokens of any kind."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from nmos_auth.rules.permissions import CLAIM_PREFIX
from nmos_auth.rules.tokens import ALGORITHM
from nmos_auth.settings import IssuerPolicy, Settings
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keys_file import KeysFile

__all__ = ["StandInAuthorizationServer", "authorization_server"]

_JWKS_PATH = "/jwks"
_METADATA_PATH = "/.well-known/oauth-authorization-server"
_KEY_SIZE = 2048

Specifiers = Mapping[str, Sequence[str]]


class StandInAuthorizationServer:
    """Signs whatever tokens a test needs; its key is served where the middleware looks for it.

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
        # With the key at hand from the start, no first request is answered 503.
        KeysFile(self._keys_file).save({issuer: parse_jwks(self._jwks())})

    def settings(self, **changes: Any) -> Settings:  # noqa: ANN401 - Settings checks every one
        """Give settings for a middleware that trusts this server and no other.

        Args:
            changes: in place of what the settings have, as `Settings` takes them.

        Raises:
            ConfigurationError: a change is not usable.
        """
        values: dict[str, object] = {
            "audience": self.audience,
            "servers": self.issuer,
            "allow_http": True,
            "issuer_policy": IssuerPolicy.CONFIGURED,
            "keys_file": self._keys_file,
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
            read: path specifiers by API, for what may be read.
            write: the same for what may be written.
            client_id: the client that the token was issued to.
            lifetime: seconds until it expires; negative for one that has expired.
            claims: in place of these claims or beside them; None takes a claim out.

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
        """Give the headers of a request that presents a token (RFC 6750 Section 2.1)."""
        return {"Authorization": f"Bearer {token}"}

    def document(self, path: str) -> object | None:
        """Give what the server answers at a path: its metadata, its keys, or nothing."""
        if path == _METADATA_PATH:
            return {"issuer": self.issuer, "jwks_uri": self.issuer + _JWKS_PATH}
        return self._jwks() if path == _JWKS_PATH else None

    def _jwks(self) -> dict[str, object]:
        return {"keys": [self._key.as_dict(private=False)]}


class _Listener(ThreadingHTTPServer):
    document: Callable[[str], object | None]


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
        """Say nothing: what is fetched in the background is nobody's test."""


@contextlib.contextmanager
def authorization_server(
    audience: str = "node.example.com", *, clock: Callable[[], float] = time.time
) -> Iterator[StandInAuthorizationServer]:
    """Run a stand-in for the Authorization Server on loopback until the block ends.

    It listens over http, which its settings allow, and keeps keys and the audit log of the
    middleware in a directory of its own that goes with it.

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
