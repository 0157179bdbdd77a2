"""How sony/nmos-cpp looks at tokens: its habits, from what it is known to do, and none of its code.

- What stands in `aud` is compared with its own name; of a list only what sorts first is.
- Path specifiers are regular expressions with `*` for `.*`, and the path has its query string.
- A token that it cannot verify is 503 with `Retry-After: 5` and `error=invalid_token`, for good.
- Its event WebSockets want `devices/{id}` to be readable.
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
        if not authorization:
            return Refusal(401, f'Bearer realm="{self.name}"')
        claims = self._verified(authorization.removeprefix("Bearer "))
        if claims is None:
            return Refusal(503, f'Bearer realm="{self.name}",error=invalid_token')
        audience = claims["aud"]
        first = min(audience) if isinstance(audience, list) else audience
        specifiers = claims.get(f"x-nmos-{api}", {}).get(verb, [])
        patterns = [each.replace("*", ".*") for each in specifiers]
        is_ours = re.fullmatch(rf"(https?://)?{re.escape(self.name)}", first) is not None
        if is_ours and any(re.fullmatch(each, path) for each in patterns):
            return None
        return Refusal(403, f'Bearer realm="{self.name}",error=insufficient_scope')

    def _verified(self, token: str) -> dict[str, Any] | None:
        for key in self.keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.private.public_key(),
                    algorithms=["RS512"],
                    options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
                )
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
        refusal = self.tokens.refusal(self.asked[-1], "events", "read", f"devices/{self.device_id}")
        if refusal is None:
            return None
        headers = Headers({"WWW-Authenticate": refusal.challenge, "Content-Length": "56"})
        return Response(refusal.status, "Refused", headers, b"")

    async def _serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            self.commands.put_nowait(json.loads(text))
