"""How sony/nmos-cpp looks at tokens: its habits, as its own programs show them; none of its code.

- An entry of `aud` that is not its own name, has no wildcard and is not longer ends the search, in
  the order in which they sort. A `*` stands for one label, or alone for any name.
- A `scope`, where there is one, must name the API; `client_id` or `azp` must be there.
- Path specifiers are regular expressions with `*` for `.*`, and the path has its query string.
- A token that it cannot verify is 503 with `Retry-After: 5` and `error=invalid_token`, for good.
- Its challenges quote nothing, and describe errors in free text.
- Its event WebSockets want `devices/{id}` to be readable, and refuse a token in a header with a 401
  without an error, whatever is wrong with it. That makes it fetch no keys.
- The body of a refused handshake is announced and never sent.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jwt
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.support.authority import answer_json
from tests.support.tokens import SigningKey

__all__ = ["CppApi", "CppDevice", "CppTokens", "Refusal"]


class Refusal(NamedTuple):
    """Why a request is not served."""

    status: int
    challenge: str


@dataclass
class CppTokens:
    """What a C++ device thinks of tokens.

    Attributes:
        name: by which it is known.
        keys: those of the Authorization Server that it has.
    """

    name: str
    keys: list[SigningKey] = field(default_factory=list)

    def refusal(self, authorization: str, api: str, verb: str, path: str) -> Refusal | None:
        """Tell why a request is refused; None where it is not.

        Args:
            authorization: the value of its header field.
            api: the API, such as `registration`.
            verb: `read` or `write`.
            path: below the API's version, with the query string.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            return Refusal(401, f"Bearer realm={self.name}")
        try:
            claims = self._verified(token)
        except jwt.ExpiredSignatureError:
            return self._refused(401, "invalid_token", "token expired")
        if claims is None:
            return self._refused(503, "invalid_token", "failed to verify signature")
        lacking = self._lacking(claims, api, verb, path)
        return self._refused(403, "insufficient_scope", lacking) if lacking else None

    def _lacking(self, claims: dict[str, Any], api: str, verb: str, path: str) -> str:
        if not self._is_audience(claims["aud"]):
            return f"{self.name} not found in audience"
        if api not in claims.get("scope", api).split():
            return f"{api} not found in scope"
        if not {"client_id", "azp"} & set(claims):
            return "missing client_id or azp"
        patterns = claims.get(f"x-nmos-{api}", {}).get(verb, [])
        if any(re.fullmatch(each.replace("*", ".*"), path) for each in patterns):
            return ""
        return f"{path} not accessible"

    def handshake_refusal(self, authorization: str, api: str, path: str) -> Refusal | None:
        """Tell why a handshake is refused that brings its token in a header."""
        if self.refusal(authorization, api, "read", path) is None:
            return None
        return Refusal(401, f"Bearer realm={self.name}")

    def _refused(self, status: int, error: str, description: str) -> Refusal:
        challenge = f"Bearer realm={self.name},error={error},error_description={description}"
        return Refusal(status, challenge)

    def _is_audience(self, audience: str | list[str]) -> bool:
        own = self.name.split(".")
        for entry in sorted({audience} if isinstance(audience, str) else set(audience)):
            labels = entry.removesuffix(".").removeprefix("https://").split(".")
            if labels == own:
                return True
            if len(labels) > len(own):
                continue
            if labels[0] != "*":
                return False
            if labels[1:] == own[1 : len(labels)]:
                return True
        return False

    def _verified(self, token: str) -> dict[str, Any] | None:
        for key in self.keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.private.public_key(),
                    algorithms=["RS512"],
                    options={"verify_aud": False, "verify_iat": False},
                )
            except jwt.ExpiredSignatureError:
                raise
            except jwt.InvalidTokenError:
                continue
            return claims
        return None


@dataclass
class CppApi:
    """An API of a C++ device: the app behind it, and its look at tokens."""

    app: ASGIApp
    tokens: CppTokens
    refusals: list[Refusal] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if its token is good."""
        headers = {name.lower(): value.decode() for name, value in scope["headers"]}
        api, _, path = scope["path"].removeprefix("/x-nmos/").split("/", 2)
        query = scope["query_string"].decode()
        verb = "read" if scope["method"] in {"GET", "HEAD"} else "write"
        refusal = self.tokens.refusal(
            headers.get(b"authorization", ""), api, verb, f"{path}?{query}" if query else path
        )
        if refusal is None:
            await self.app(scope, receive, send)
            return
        self.refusals.append(refusal)
        fields = [(b"www-authenticate", refusal.challenge.encode())]
        if refusal.status == 503:
            fields.append((b"retry-after", b"5"))
        await answer_json(send, {"code": refusal.status}, refusal.status, tuple(fields))


@dataclass
class CppDevice:
    """The event WebSocket of a C++ device.

    Attributes:
        asked: the Authorization of each handshake so far.
        commands: what it is told over its WebSockets.
    """

    tokens: CppTokens
    device_id: str
    asked: list[str] = field(default_factory=list)
    commands: asyncio.Queue[dict[str, object]] = field(default_factory=asyncio.Queue)
    uri: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["CppDevice"]:
        """Listen until the block ends."""
        server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._process, compression=None
        )
        async with server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.uri = f"ws://127.0.0.1:{port}/x-nmos/events/v1.0/devices/{self.device_id}"
            yield self

    async def _process(self, _: ServerConnection, request: Request) -> Response | None:
        self.asked.append(request.headers.get("Authorization", ""))
        refusal = self.tokens.handshake_refusal(
            self.asked[-1], "events", f"devices/{self.device_id}"
        )
        if refusal is None:
            return None
        headers = Headers({"WWW-Authenticate": refusal.challenge, "Content-Length": "56"})
        return Response(refusal.status, "Refused", headers, b"")

    async def _serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            self.commands.put_nowait(json.loads(text))
