"""An Authorization Server as small as the tests need it, and as bad as they want it."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from tests.support.servers import serving
from tests.support.tls import TestAuthority
from tests.support.tokens import Mint, SigningKey

__all__ = ["METADATA", "FakeAuthorizationServer", "Responder", "answer_json"]

Responder = Callable[[Scope, Receive, Send], Awaitable[None]]

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/jwks"


async def answer_json(
    send: Send, document: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with a JSON document."""
    body = json.dumps(document).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": status, "headers": [*fixed, *headers]},
    )
    await send({"type": "http.response.body", "body": body})


@dataclass
class FakeAuthorizationServer:
    """Serves metadata and keys; anything it answers can be replaced while it runs.

    Attributes:
        keys: what it publishes; its tokens are signed with the first.
        path: the issuer's path component.
        responders: by request path, what answers in place of the honest answer.
        requests: the paths asked for so far.
    """

    keys: list[SigningKey]
    path: str = ""
    responders: dict[str, Responder] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0
    scheme: str = "https"
    host: str = "localhost"
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    @property
    def metadata_path(self) -> str:
        """Where RFC 8414 puts the metadata of this issuer."""
        return METADATA + self.path

    def metadata(self, **changes: object) -> dict[str, object]:
        """Return the metadata, with changes."""
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}{JWKS}", **changes}

    def jwks(self) -> dict[str, object]:
        """Return the key set."""
        return {"keys": [key.jwk() for key in self.keys]}

    def token(self, **changes: object) -> str:
        """Sign a good token with the first key, with changes to its claims."""
        return Mint(self.issuer, self.keys[0]).token(**changes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        with self._arrived:
            self.requests.append(path)
            self._arrived.notify_all()
        if path in self.responders:
            await self.responders[path](scope, receive, send)
        elif path == self.metadata_path:
            await answer_json(send, self.metadata())
        elif path == self.path + JWKS:
            await answer_json(send, self.jwks())
        else:
            await answer_json(send, {"error": "not found"}, 404)

    def count(self, path: str | None = None) -> int:
        """Count the requests, for `path` if given, that have come so far."""
        return sum(path in {None, each} for each in self.requests)

    def wait_for_requests(self, count: int, path: str | None = None) -> None:
        """Wait until so many requests, for `path` if given, have come in all."""
        with self._arrived:
            come = self._arrived.wait_for(lambda: self.count(path) >= count, 10)
            assert come, self.requests

    @contextlib.contextmanager
    def running(
        self, tls: TestAuthority | None = None, *, context: ssl.SSLContext | None = None
    ) -> Iterator[FakeAuthorizationServer]:
        """Run until the block ends; over http where no certificate authority is given.

        A second run listens on the port of the first. `context` takes the place of a good
        certificate.
        """
        self.scheme = "http" if tls is None else "https"
        if tls is not None and context is None:
            context = tls.server_context(self.host, "127.0.0.1")
        with serving(self, tls=context, port=self.port, lifespan="off") as self.port:
            yield self
