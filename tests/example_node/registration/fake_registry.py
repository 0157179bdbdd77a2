"""A Registration API as small as the tests need it, and as bad as they want it."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.authority import answer_json
from tests.support.servers import serving
from tests.support.tls import TestAuthority

__all__ = ["Asked", "FakeRegistry"]

BASE = "/x-nmos/registration/"
PARENTS = {"device": "node", "source": "device", "flow": "device"}
PARENTS |= {"sender": "device", "receiver": "device"}

_HEALTH = re.compile(r"health/nodes/([^/]+)")
_RESOURCE = re.compile(r"resource/(node|device|source|flow|sender|receiver)s/([^/]+)")


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        what: what it was for, such as "POST node", "DELETE sender" or "heartbeat".
        id: the id of the resource.
        status: what it was answered with; 0 where it was not.
        at: when it came, on the event loop's clock.
        headers: its header fields, names in lower case.
        body: its body.
        api_version: the version of the API in its path.
        connection: which connection it came by: the client's port.
    """

    what: str
    id: str
    status: int
    at: float
    headers: Mapping[str, str]
    body: bytes
    api_version: str
    connection: int


@dataclass
class FakeRegistry:
    """Holds what is registered, with referential integrity, unless it is told otherwise.

    Attributes:
        resources: what it holds, by kind and id.
        asked: every request so far.
        status: what every request is answered with; None for the honest answer.
        silent: it answers nothing at all.
        silent_for: the ids of resources for which it answers nothing.
        rejects: what is answered 400, by id.
        conflict: the API version that Nodes are registered with, while it is another.
        location: the Location of its 409 answers, in place of the honest one.
        says: what its error bodies have as `debug`, made of the request's Authorization header.
        protection: what is put around it.
    """

    resources: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    status: int | None = None
    silent: bool = False
    silent_for: set[str] = field(default_factory=set)
    rejects: set[str] = field(default_factory=set)
    conflict: str | None = None
    location: str | None = None
    says: Callable[[str], str | None] = lambda _: None
    protection: Callable[[ASGIApp], ASGIApp] = lambda app: app
    port: int = 0
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """Where it is while it runs over TLS."""
        return f"https://localhost:{self.port}"

    def whats(self) -> list[str]:
        """Return what each request so far was for, and what it was answered."""
        return [f"{each.what} {each.status}" for each in self.asked]

    def held(self) -> set[str]:
        """Return the ids of all that it holds."""
        return {key for kind in self.resources.values() for key in kind}

    def of(self, what: str) -> list[Asked]:
        """Return the requests for one thing."""
        return [each for each in self.asked if each.what == what]

    def times(self) -> list[float]:
        """Return when heartbeats came."""
        return [each.at for each in self.of("heartbeat")]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait, in another thread than the one it runs in, until a request makes this hold."""
        with self._arrived:
            assert self._arrived.wait_for(holds, 20), self.whats()

    def forget(self) -> None:
        """Lose everything, as at a restart or when heartbeats stayed away."""
        self.resources.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        version, _, path = scope["path"].removeprefix(BASE).partition("/")
        what, resource_id, status, extra = self._answer(scope["method"], version, path, body)
        silent = self.silent or resource_id in self.silent_for
        status = 0 if silent else status
        at, (_, port) = asyncio.get_running_loop().time(), scope["client"]
        asked = Asked(what, resource_id, status, at, headers, body, version, port)
        with self._arrived:
            self.asked.append(asked)
            self._arrived.notify_all()
        if silent:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if status == 204:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        document: dict[str, object] = {}
        if status >= 400:
            said = self.says(headers.get("authorization", ""))
            document = {"code": status, "error": "no", "debug": said}
        await answer_json(send, document, status, extra)

    def _answer(
        self, method: str, version: str, path: str, body: bytes
    ) -> tuple[str, str, int, tuple[tuple[bytes, bytes], ...]]:
        if path == "resource" and method == "POST":
            document = json.loads(body)
            kind, data = document["type"], document["data"]
            status = self._instead(data["id"], version) or self._register(kind, data)
            return f"POST {kind}", data["id"], status, self._location(status, data["id"])
        if (match := _HEALTH.fullmatch(path)) and method == "POST":
            known = match[1] in self.resources.get("node", {})
            status = self._instead(match[1], version) or (200 if known else 404)
            return "heartbeat", match[1], status, self._location(status, match[1])
        if (match := _RESOURCE.fullmatch(path)) and method == "DELETE":
            status = self._instead("", version) or self._delete(match[1], match[2])
            return f"DELETE {match[1]}", match[2], status, ()
        return f"{method} {path}", "", 405, ()

    def _instead(self, resource_id: str, version: str) -> int | None:
        if self.status is not None:
            return self.status
        if self.conflict is not None and version != self.conflict:
            return 409
        return 400 if resource_id in self.rejects else None

    def _location(self, status: int, resource_id: str) -> tuple[tuple[bytes, bytes], ...]:
        if status != 409:
            return ()
        honest = f"{BASE}{self.conflict}/resource/nodes/{resource_id}"
        location = honest if self.location is None else self.location
        return ((b"location", location.encode()),)

    def _register(self, kind: str, data: dict[str, object]) -> int:
        parent = PARENTS.get(kind)
        if parent is not None and data[f"{parent}_id"] not in self.resources.get(parent, {}):
            return 400
        there = str(data["id"]) in self.resources.setdefault(kind, {})
        self.resources[kind][str(data["id"])] = data
        return 200 if there else 201

    def _delete(self, kind: str, resource_id: str) -> int:
        if self.resources.get(kind, {}).pop(resource_id, None) is None:
            return 404
        for child, parent in PARENTS.items():
            for each in list(self.resources.get(child, {}).values()):
                if parent == kind and each[f"{parent}_id"] == resource_id:
                    self._delete(child, str(each["id"]))
        if kind == "node":
            self.conflict = None
        return 204

    @contextlib.contextmanager
    def running(self, tls: TestAuthority) -> Iterator["FakeRegistry"]:
        """Run over TLS until the block ends, on the port of the run before if there was one."""
        context = tls.server_context("localhost")
        with serving(self.protection(self), tls=context, port=self.port) as self.port:
            yield self
