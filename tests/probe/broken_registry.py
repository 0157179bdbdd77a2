"""A Registry of a few lines, which has each fault of ownership and subscriptions at a switch."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.types import Message, Receive, Scope, Send

from tests.probe.broken_node import answer, refuse
from tests.probe.broken_paths import without_dots
from tests.probe.broken_tokens import BrokenTokens, Claims, Refused

__all__ = ["REGISTRY_FAULTS", "BrokenRegistry"]

REGISTRY_FAULTS = (
    "ownership on POST alone",
    "ownership of Nodes alone",
    "heartbeats unchecked",
    "heartbeats open",
    "heartbeats refused",
    "deletions refused",
    "deletions unchecked",
    "new resources unchecked",
    "moves unchecked",
    "owner by user",
    "owner by user of Nodes",
    "owner without azp",
    "owner blind to case",
    "refused and deleted",
    "refused without a code",
    "nobody owns anything",
    "reading deletes",
    "registrations final",
    "subscriptions open",
    "subscriptions need no claim",
    "subscriptions need any claim",
    "subscriptions refused",
    "upgrade unchecked",
    "upgrade unread",
    "sockets open",
    "sockets need no claim",
    "sockets need any Node",
    "sockets need their path",
    "sockets audience unchecked",
    "sockets query refused",
    "sockets expired",
)

_QUERY = {"nodes", "devices", "receivers", "subscriptions"}
Json = dict[str, object]


@dataclass
class BrokenRegistry:
    """The Registry.

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
    owners: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin empty."""
        self.tokens = BrokenTokens(self.issuer, self.audience, lambda _: False, self.clock)

    def has(self, fault: str) -> bool:
        """Tell whether it has a fault, which must be one of the list."""
        assert fault in REGISTRY_FAULTS
        return fault in self.faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or handshake."""
        if scope["type"] not in {"http", "websocket"}:
            return
        socket = scope["type"] == "websocket"
        first = await receive()
        headers = {"access-control-allow-origin": "*"}
        try:
            status, body = (
                self._socket(scope) if socket else await self._http(scope, first, receive)
            )
        except Refused as refused:
            status = refused.status
            body = {"code": status, "error": "refused", "debug": None}
            if not (status == 403 and self.has("refused without a code")):
                headers["www-authenticate"] = refuse(refused)
            else:
                headers["www-authenticate"] = 'Bearer realm="x"'
        if status == 101:
            await send({"type": "websocket.accept"})
            return
        kind = "websocket.http.response" if socket else "http.response"
        await answer(send, status, body, headers, kind=kind)

    def _segments(self, scope: Scope) -> list[str]:
        path = scope["path"]
        if "://" in path:
            path = urlsplit(path).path
        return without_dots(path).strip("/").split("/")

    async def _http(self, scope: Scope, first: Message, receive: Receive) -> tuple[int, object]:
        segments, method = self._segments(scope), scope["method"]
        body = first.get("body", b"")
        while first.get("more_body"):
            first = await receive()
            body += first.get("body", b"")
        if segments in ([""], ["x-nmos"]) or method == "OPTIONS":
            return 200, ["registration/", "query/"]
        if segments[0] != "x-nmos":
            return 404, {"code": 404, "error": "not found", "debug": None}
        subscribes = method == "POST" and segments[-1] == "subscriptions"
        if subscribes and self.has("subscriptions open"):
            return 201, self._subscription(scope)
        if "health" in segments and method == "POST" and self.has("heartbeats open"):
            return 200, {}
        claims = self._claims(scope)
        if subscribes:
            self._check_subscribing(claims)
            return 201, self._subscription(scope)
        self.tokens.permit(claims, method, segments[1], "/".join(segments[3:]))
        return self._served(segments, method, claims, body)

    def _claims(self, scope: Scope) -> Claims:
        token = self.tokens.presented(scope)
        if not token:
            raise Refused(401)
        return self.tokens.verify(token)

    def _served(
        self, segments: list[str], method: str, claims: Claims, body: bytes
    ) -> tuple[int, object]:
        api, rest = segments[1], segments[3:]
        if not rest:
            children = (
                ["resource/", "health/"]
                if api == "registration"
                else [f"{each}/" for each in sorted(_QUERY)]
            )
            return 200, (["v1.3/"] if len(segments) == 2 else children)
        if api == "query":
            return (200, []) if rest[0] in _QUERY and len(rest) == 1 else (404, {})
        if rest[0] == "health" and len(rest) == 3 and method == "POST":
            if not self.has("heartbeats unchecked") and not self.has("ownership on POST alone"):
                self._check_owner(rest[2], claims)
            if self.has("heartbeats refused"):
                raise Refused(403, "insufficient_scope")
            return 200, {"health": "1"}
        if rest == ["resource"] and method == "POST":
            return self._register(json.loads(body), claims)
        if rest[0] == "resource" and len(rest) == 3:
            return self._resource(rest[2], method, claims)
        return 404, {}

    # Ownership

    def _client(self, claims: Claims, identifier: str) -> str:
        name = claims.get("client_id") or ("" if self.has("owner without azp") else claims["azp"])
        if self.has("owner by user"):
            name = claims["sub"]
        if self.has("owner by user of Nodes") and not self._is_device(identifier):
            name = claims["sub"]
        if self.has("nobody owns anything"):
            name = "nobody"
        return str(name).lower() if self.has("owner blind to case") else str(name)

    def _is_device(self, identifier: str) -> bool:
        return "node_id" in self.resources.get(identifier, {})

    def _node_of(self, identifier: str) -> str:
        return str(self.resources.get(identifier, {}).get("node_id", identifier))

    def _check_owner(self, identifier: str, claims: Claims) -> None:
        if self._is_device(identifier) and self.has("ownership of Nodes alone"):
            return
        owner = self.owners.get(self._node_of(identifier))
        if owner is not None and owner != self._client(claims, identifier):
            raise Refused(403, "insufficient_scope")

    def _register(self, body: Json, claims: Claims) -> tuple[int, object]:
        data = body["data"]
        assert isinstance(data, dict)
        identifier, parent = str(data["id"]), data.get("node_id")
        known = identifier in self.resources
        if known:
            self._check_owner(identifier, claims)
            if self.has("registrations final"):
                raise Refused(403, "insufficient_scope")
        checked = (
            not self.has("moves unchecked") if known else not self.has("new resources unchecked")
        )
        if parent is not None and checked and not self.has("ownership of Nodes alone"):
            owner = self.owners.get(str(parent))
            if owner is not None and owner != self._client(claims, str(parent)):
                raise Refused(403, "insufficient_scope")
        if parent is None:
            self.owners.setdefault(identifier, self._client(claims, identifier))
        self.resources[identifier] = data
        return 200 if known else 201, data

    def _resource(self, identifier: str, method: str, claims: Claims) -> tuple[int, object]:
        if identifier not in self.resources:
            return 404, {}
        if method == "GET":
            if self.has("reading deletes"):
                del self.resources[identifier]
                return 404, {}
            return 200, self.resources[identifier]
        if not self.has("deletions unchecked") and not self.has("ownership on POST alone"):
            try:
                self._check_owner(identifier, claims)
            except Refused:
                if self.has("refused and deleted"):
                    self.resources.pop(identifier)
                raise
        if self.has("deletions refused"):
            raise Refused(403, "insufficient_scope")
        self.resources.pop(identifier)
        self.owners.pop(identifier, None)
        return 204, {}

    # Subscriptions

    def _subscription(self, scope: Scope) -> object:
        host = dict(scope["headers"])[b"host"].decode()
        return {"id": "1", "ws_href": f"ws://{host}/ws/{uuid.uuid4()}?uid=1"}

    def _check_subscribing(self, claims: Claims) -> None:
        write = self.tokens.specifiers(claims.get("x-nmos-query"), "write")
        if self.has("subscriptions need no claim") or (
            write and self.has("subscriptions need any claim")
        ):
            return
        matching = any(self.tokens.matches(each, "subscriptions") for each in write)
        if not matching or self.has("subscriptions refused"):
            raise Refused(403, "insufficient_scope")

    def _socket(self, scope: Scope) -> tuple[int, object]:
        segments = self._segments(scope)
        if self.has("sockets open") and segments[0] == "ws":
            return 101, {}
        if self.has("sockets query refused") and b"access_token" in scope["query_string"]:
            raise Refused(401, "invalid_token")
        try:
            claims = self._claims(scope)
        except Refused as refused:
            if segments[0] == "ws" and (
                (refused.status == 403 and self.has("sockets audience unchecked"))
                or (refused.error == "invalid_token" and self.has("sockets expired"))
            ):
                return 101, {}
            raise
        read = self.tokens.specifiers(claims.get("x-nmos-query"), "read")
        if segments[0] == "ws":
            self._check_reading(read, "/".join(segments))
            return 101, {}
        if not self.has("upgrade unchecked"):
            self._check_subscribing(claims)
        if not self.has("upgrade unread"):
            self._check_reading(read, "")
        return 101, {}

    def _check_reading(self, read: list[str], path: str) -> None:
        if self.has("sockets need no claim"):
            return
        if self.has("sockets need any Node") and any(each.startswith("nodes/") for each in read):
            return
        if path and self.has("sockets need their path"):
            matching = any(self.tokens.matches(each, path) for each in read)
        else:
            matching = any(self.tokens.matches(each, "nodes/*") for each in read)
        if not matching:
            raise Refused(403, "insufficient_scope")
