"""An Authorization Server that answers what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from tests.support.authority import answer_json
from tests.support.servers import serving
from tests.support.tls import TestAuthority

__all__ = ["WELL_KNOWN", "Asked", "Refusal", "ScriptedServer"]

WELL_KNOWN = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        method: its method.
        path: its path.
        headers: its headers, in lower case.
        body: its body.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The body as form parameters."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def document(self) -> dict[str, object]:
        """The body as JSON."""
        parsed: dict[str, object] = json.loads(self.body)
        return parsed


@dataclass(frozen=True)
class Refusal:
    """An answer that is not the honest one.

    Attributes:
        status: its status.
        document: its body as JSON; bytes go as they are.
        headers: its headers.
    """

    status: int
    document: object = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class ScriptedServer:
    """Registers whoever asks and issues tokens, unless told otherwise.

    Attributes:
        lifetime: `expires_in` of its tokens.
        answers: by path, what answers in the place of the honest answer: a `Refusal`, a document,
            or a function of the request.
        asked: every request so far.
        metadata_changes: members of the metadata to replace; None removes one.
    """

    lifetime: int = 60
    answers: dict[str, object] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    metadata_changes: dict[str, object] = field(default_factory=dict)
    port: int = 0
    scheme: str = "https"
    known: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def issuer(self) -> str:
        """Its issuer identifier."""
        return f"{self.scheme}://localhost:{self.port}"

    def metadata(self) -> dict[str, object]:
        """Return its metadata."""
        members = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["plain", "S256"],
            **self.metadata_changes,
        }
        return {name: value for name, value in members.items() if value is not None}

    def requests(self, path: str) -> list[Asked]:
        """Return the requests for a path so far."""
        return [each for each in self.asked if each.path == path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        asked = Asked(scope["method"], scope["path"], headers, body)
        self.asked.append(asked)
        answer = self.answers.get(asked.path, self._honest)
        if callable(answer):
            answer = answer(asked)
            if asyncio.iscoroutine(answer):
                answer = await answer
        await _send(send, answer)

    def token(self, **changes: object) -> dict[str, object]:
        """Make a token answer; members given as None are left out."""
        number = next(self._numbers)
        members = {
            "access_token": f"access-{number}",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            **changes,
        }
        return {name: value for name, value in members.items() if value is not None}

    def registration(self, asked: Asked, **changes: object) -> dict[str, object]:
        """Make a client information response."""
        number = next(self._numbers)
        client_id = f"client-{number:014}"
        self.known.add(client_id)
        members = {
            **asked.document,
            "client_id": client_id,
            "client_secret": f"secret:{number} of/the+client",
            "client_secret_expires_at": 0,
            **changes,
        }
        if asked.document.get("token_endpoint_auth_method") != "client_secret_basic":
            members["client_secret"] = None
        return {name: value for name, value in members.items() if value is not None}

    def _honest(self, asked: Asked) -> object:
        if asked.path == WELL_KNOWN:
            return self.metadata()
        if asked.path == "/register":
            return Refusal(201, self.registration(asked))
        if asked.path == "/token":
            refreshable = asked.form["grant_type"] != "client_credentials"
            refresh_token = f"refresh-{next(self._numbers):040}" if refreshable else None
            return self.token(refresh_token=refresh_token)
        if asked.path == "/revoke":
            return {}
        return Refusal(404)

    @contextlib.contextmanager
    def running(self, tls: TestAuthority) -> Iterator[ScriptedServer]:
        """Run over TLS until the block ends; a second run listens on the port of the first."""
        context = tls.server_context("localhost")
        with serving(self, tls=context, port=self.port, lifespan="off") as self.port:
            yield self


async def _send(send: Send, answer: object) -> None:
    refusal = answer if isinstance(answer, Refusal) else Refusal(200, answer)
    if isinstance(refusal.document, bytes):
        await send(
            {
                "type": "http.response.start",
                "status": refusal.status,
                "headers": [(b"content-type", b"text/html"), *refusal.headers],
            }
        )
        await send({"type": "http.response.body", "body": refusal.document})
        return
    await answer_json(send, refusal.document, refusal.status, refusal.headers)
