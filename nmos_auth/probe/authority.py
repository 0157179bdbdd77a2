"""The Authorization Server of a probe: metadata, keys, and a list of the requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from nmos_auth.errors import MissingExtra
from nmos_auth.probe.mint import ProbeKey

with MissingExtra.named("probe", "h11"):
    import h11

__all__ = ["Mood", "ProbeAuthority"]

_METADATA = "/.well-known/oauth-authorization-server"
_LARGEST_REQUEST = 64 * 1024
_DEADLINE = 10.0


class Mood(Enum):
    """How a server fails while it is up; the value completes a sentence about the server."""

    WELL = "answers"
    FAILING = "answers 500 to everything"
    RUBBISH = "answers with text that is not JSON"
    KEYLESS = "answers with a document that has no key set"
    HANGING = "accepts connections and never answers"


@dataclass(slots=True)
class ProbeAuthority:
    """Serves metadata and a key set until it is closed.

    Attributes:
        name: the host name by which devices know it.
        address: the address to listen on.
        keys: the keys that it publishes.
        context: for TLS; None for http.
        connections: how many there were so far, including those that failed.
        requests: the paths asked for so far.
        asked: set after the first request for the keys.
        mood: how it answers.
    """

    name: str
    address: str
    keys: Sequence[ProbeKey]
    context: ssl.SSLContext | None
    port: int = 0
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    mood: Mood = Mood.WELL
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def issuer(self) -> str:
        """Its issuer identifier."""
        scheme = "http" if self.context is None else "https"
        host = f"[{self.name}]" if ":" in self.name else self.name
        return f"{scheme}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen, on a free port where `port` is 0.

        Raises:
            OSError: the address or port cannot be used.
        """
        # TLS begins after the connection is counted: a client may refuse the certificate.
        self._server = await asyncio.start_server(
            self._accept, self.address, self.port, limit=_LARGEST_REQUEST
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and end open connections; `start` listens again on the same port."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    def document(self, path: str) -> object | None:
        """Return the document at a path, or None."""
        if self.mood is Mood.KEYLESS:
            return {"issuer": self.issuer}
        if path == _METADATA:
            return {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/jwks",
                # The schema of IS-10 requires these, and sony/nmos-cpp reads no keys without them.
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "registration_endpoint": f"{self.issuer}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        return {"keys": [key.jwk() for key in self.keys]} if path == "/jwks" else None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                if self.context is not None:
                    await writer.start_tls(self.context)
                await self._answer(reader, writer)
        except (OSError, h11.RemoteProtocolError):
            pass  # the client has gone, or does not speak HTTP
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(16384))
        if not isinstance(event, h11.Request):
            return
        path = event.target.partition(b"?")[0].decode("latin-1")
        self.requests.append(path)
        if self.mood is Mood.HANGING:
            await asyncio.sleep(_DEADLINE)
        document = self.document(path) if event.method in {b"GET", b"HEAD"} else None
        body = json.dumps(document if document is not None else {"error": "not_found"}).encode()
        status = 200 if document is not None else 404
        if self.mood is Mood.FAILING:
            status, body = 500, b'{"error": "server_error"}'
        elif self.mood is Mood.RUBBISH:
            body = b"<html>"
        fields = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        for part in (
            h11.Response(status_code=status, headers=fields),
            h11.Data(data=b"" if event.method == b"HEAD" else body),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(part) or b"")
        await writer.drain()
        if path == "/jwks":
            self.asked.set()
