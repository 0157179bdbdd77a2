"""A Node of a few lines, whose authorization has each fault that real ones have, at a switch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from tests.probe.broken_paths import PATH_FAULTS, BrokenPaths
from tests.probe.broken_tokens import TOKEN_FAULTS, BrokenTokens, Claims, Refused

__all__ = ["FAULTS", "BrokenNode", "answer", "refuse"]

_NODE_FAULTS = (
    "open",
    "open below",
    "capitals open",
    "no challenge",
    "code without a token",
    "no code",
    "no retry-after",
    "redirects",
    "preflight 401",
    "head open",
    "no cors",
    "plain errors",
    "token in error",
    "trace in error",
    "root protected",
    "transport file open",
    "transport file redirected",
    "staged open",
    "authorization untold",
    "manifest elsewhere",
    "handshake open",
    "handshake scope unchecked",
    "handshake query refused",
    "handshake audience unchecked",
    "events unchecked",
    "events by scope",
    "events all or nothing",
    "events need claims",
    "malformed opens",
    "slash at the end refused",
    "head refused",
    "handshake header refused",
)
FAULTS = (*TOKEN_FAULTS, *PATH_FAULTS, *_NODE_FAULTS)

SENDERS = ("3256d796-04f8-59cf-bff5-2264ee9eb0bc", "4256d796-04f8-59cf-bff5-2264ee9eb0bc")
SOURCES = ("91cf1060-0986-56fb-aa72-4f6ab7340d0e", "13a033d7-9d19-5cee-b739-25fc606fdc4a")
_SENDERS = "connection/v1.1/single/senders"
_EVENTS = "/x-nmos/events/v1.0/devices/1"
_NODE = "http://node.invalid/x-nmos"
_AUTHORIZATION = {"authorization": True}

# What the Node has: each path below /x-nmos, and what is read there.
_RESOURCES: dict[str, object] = {
    "": ["node/", "connection/", "events/"],
    "node": ["v1.3/"],
    "node/v1.3": ["self/", "devices/", "senders/"],
    "node/v1.3/self": {"api": {"endpoints": [{"protocol": "http", **_AUTHORIZATION}]}},
    "node/v1.3/devices": [
        {"controls": [{"href": f"{_NODE}/connection/v1.1/", **_AUTHORIZATION}]},
        {"controls": [{"href": "http://node.invalid/lamp"}]},
    ],
    "node/v1.3/senders": [
        {"id": SENDERS[0], "manifest_href": f"{_NODE}/{_SENDERS}/{SENDERS[0]}/transportfile"},
        {"id": SENDERS[1], "manifest_href": None},
    ],
    "connection": ["v1.1/"],
    "connection/v1.1": ["bulk/", "single/"],
    "connection/v1.1/bulk": ["senders/"],
    "connection/v1.1/single": ["senders/"],
    _SENDERS: [f"{each}/" for each in SENDERS],
    f"{_SENDERS}/{SENDERS[0]}/constraints": [],
    f"{_SENDERS}/{SENDERS[0]}/transportfile": {},
    f"{_SENDERS}/{SENDERS[0]}/staged": {},
    "events": ["v1.0/"],
    "events/v1.0": ["sources/"],
    "events/v1.0/sources": [f"{each}/" for each in SOURCES],
}


@dataclass
class BrokenNode:
    """The Node.

    Attributes:
        issuer: whose tokens it accepts.
        audience: its own name.
        faults: which it has.
        clock: seconds since 1970 UTC.
    """

    issuer: str
    audience: str
    faults: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.time
    tokens: BrokenTokens = field(init=False)
    paths: BrokenPaths = field(init=False)

    def __post_init__(self) -> None:
        """Begin without keys."""
        self.tokens = BrokenTokens(self.issuer, self.audience, self.has, self.clock)
        self.paths = BrokenPaths(self.has)

    def has(self, fault: str) -> bool:
        """Tell whether it has a fault, which must be one of the list."""
        assert fault in FAULTS
        return fault in self.faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or handshake."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve_http(scope, send)

    async def _serve_http(self, scope: Scope, send: Send) -> None:
        token = ""
        headers = {"access-control-allow-headers": "authorization"}
        try:
            token = self.tokens.presented(scope)
            status, body = self._serve(scope, token)
            if 300 <= status < 400:
                headers["location"] = f"{scope['path']}/"
        except Refused as refused:
            status = refused.status
            headers, body = self._refusal(refused, token)
            if refused.error == "invalid_request" and self.has("malformed opens"):
                status, body = 200, {}
        except Exception as error:  # noqa: BLE001 - a Node that fails, as some do
            status, headers = 500, {}
            body = {"code": 500, "error": type(error).__name__, "debug": None}
            if self.has("trace in error"):
                body = "Traceback (most recent call last): ..."
        if not self.has("no cors"):
            headers["access-control-allow-origin"] = "*"
        await answer(send, status, body, headers, head=scope["method"] == "HEAD")

    def _refusal(self, refused: Refused, token: str) -> tuple[dict[str, str], object]:
        headers: dict[str, str] = {}
        body: object = {"code": refused.status, "error": "refused", "debug": None}
        if not self.has("no challenge"):
            told = "" if self.has("no code") else refused.error
            if self.has("code without a token") and not token:
                told = "invalid_token"
            headers["www-authenticate"] = refuse(Refused(refused.status, told))
        if refused.status == 503 and not self.has("no retry-after"):
            headers["retry-after"] = "5"
        if self.has("plain errors"):
            body = "refused"
        if self.has("token in error") and token:
            body = {"code": refused.status, "error": f"refused {token}", "debug": None}
        return headers, body

    def _serve(self, scope: Scope, token: str) -> tuple[int, object]:
        method = scope["method"]
        if method == "HEAD" and self.has("head refused"):
            return 405, _not_found()
        if self.paths.is_open(scope):
            return 200, {}
        if method == "OPTIONS" and not self.has("preflight 401"):
            return 200, {}
        path = self.paths.checked(scope)
        root = path.strip("/") in {"", "x-nmos"}
        if root and method in {"GET", "HEAD"} and not self.has("root protected"):
            return 200, _RESOURCES[""]
        segments = path.strip("/").split("/")
        if segments[0].lower() != "x-nmos":
            return 404, _not_found()
        return self._guarded(scope, token, segments)

    def _guarded(self, scope: Scope, token: str, segments: list[str]) -> tuple[int, object]:
        method, slash = scope["method"], scope["raw_path"].endswith(b"/")
        if self._is_open(segments, method):
            return self._served(scope)
        if not token:
            raise Refused(401)
        if self.has("redirects") and method == "GET" and not slash:
            return 301, {}
        claims = self.tokens.verify(token)
        api, rest = ([*segments, "", ""])[1], "/".join(segments[3:])
        self.tokens.permit(claims, method, api, rest, scope["query_string"].decode("latin-1"))
        if self.has("slash at the end refused") and rest and slash:
            return 404, _not_found()
        return self._served(scope)

    def _is_open(self, segments: list[str], method: str) -> bool:
        last = segments[-1]
        return (
            (segments[0] != "x-nmos" and self.has("capitals open"))
            or self.has("open")
            or (self.has("open below") and len(segments) > 3)
            or (method == "HEAD" and self.has("head open"))
            or (last == "transportfile" and self.has("transport file open"))
            or (last == "staged" and self.has("staged open"))
        )

    def _served(self, scope: Scope) -> tuple[int, object]:
        below = re.sub("^x-nmos/?", "", self.paths.served(scope), flags=re.IGNORECASE)
        if below.endswith("/active"):
            # Nobody answers there; the probe looks at the Node's own port then.
            uri = {"connection_uri": f"ws://node.invalid:1{_EVENTS}"}
            source = SOURCES[SENDERS.index(below.split("/")[-2])]
            legs = [{**uri, "ext_is_07_source_id": source}]
            return 200, {"master_enable": True, "transport_params": legs}
        if below.endswith("transportfile") and self.has("transport file redirected"):
            return 307, {}
        if scope["method"] == "PATCH" and below.endswith("staged"):
            return 400, {"code": 400, "error": "not valid", "debug": None}
        return (200, self._resource(below)) if below in _RESOURCES else (404, _not_found())

    def _resource(self, below: str) -> object:
        document = json.dumps(_RESOURCES[below])
        if self.has("authorization untold"):
            document = document.replace("true", "false")
        if self.has("manifest elsewhere"):
            document = document.replace("/transportfile", "/sdp")
        return json.loads(document)

    # Events

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            claims = self._handshake(scope)
        except Refused as refused:
            headers = {"www-authenticate": refuse(refused), "access-control-allow-origin": "*"}
            body = {"code": refused.status, "error": "refused", "debug": None}
            await answer(send, refused.status, body, headers, kind="websocket.http.response")
            return
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            command = json.loads(event["text"])
            for message in self._messages(command, claims):
                await send({"type": "websocket.send", "text": json.dumps(message)})

    def _handshake(self, scope: Scope) -> Claims:
        if self.has("handshake open"):
            return {}
        if (self.has("handshake query refused") and b"access_token" in scope["query_string"]) or (
            self.has("handshake header refused") and b"authorization" in dict(scope["headers"])
        ):
            raise Refused(401, "invalid_token")
        try:
            claims = self._verified(scope)
        except Refused as refused:
            opens = {403: "handshake audience unchecked", 400: "malformed opens"}
            if refused.status in opens and self.has(opens[refused.status]):
                return {}
            raise
        known = self.tokens.is_scoped(claims, "events") or "x-nmos-events" in claims
        if self.has("events need claims"):
            known = "x-nmos-events" in claims
        if not known and not self.has("handshake scope unchecked"):
            raise Refused(403, "insufficient_scope")
        return claims

    def _verified(self, scope: Scope) -> Claims:
        token = self.tokens.presented(scope)
        if not token:
            raise Refused(401)
        return self.tokens.verify(token)

    def _messages(self, command: Mapping[str, object], claims: Claims) -> list[object]:
        if command["command"] == "health":
            timing = {"origin_timestamp": command["timestamp"], "creation_timestamp": "1:0"}
            return [{"message_type": "health", "timing": timing}]
        asked = command["sources"]
        assert isinstance(asked, list)
        heard = [each for each in asked if self._may_hear(each, claims)]
        if self.has("events all or nothing") and heard:
            heard = asked
        return [{"message_type": "state", "identity": {"source_id": each}} for each in heard]

    def _may_hear(self, source: str, claims: Claims) -> bool:
        if self.has("events unchecked"):
            return True
        if self.has("events by scope") and self.tokens.is_scoped(claims, "events"):
            return True
        specifiers = self.tokens.specifiers(claims.get("x-nmos-events"), "read")
        return any(self.tokens.matches(each, f"sources/{source}") for each in specifiers)


def _not_found() -> object:
    return {"code": 404, "error": "not found", "debug": None}


def refuse(refused: Refused) -> str:
    """Return the challenge of a refusal."""
    return f'Bearer realm="x"{refused.error and f",error={refused.error}"}'


async def answer(
    send: Send,
    status: int,
    body: object,
    headers: Mapping[str, str],
    *,
    head: bool = False,
    kind: str = "http.response",
) -> None:
    """Send an answer with a JSON body."""
    content = b"" if head or status == 204 else json.dumps(body).encode()
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    fields += [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": fields})
    await send({"type": f"{kind}.body", "body": content})
