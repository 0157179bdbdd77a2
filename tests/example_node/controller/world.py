"""A whole plant on loopback, over TLS: servers as users have them, and browsers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import nmos_auth
from example_node import Settings, create_app
from example_node.controller import Settings as ControllerSettings
from example_node.controller import create_app as create_controller
from example_node.controller.client import SCOPES
from example_node.node import ReferenceNode
from example_node.registry import Settings as RegistrySettings
from example_node.registry import create_app as create_registry
from example_node.registry.registry import Registry
from nmos_auth.authority import Permissions, RegistrationPolicy, User, hash_password
from nmos_auth.client import AuthorizationClient, ClientSettings
from nmos_auth.settings import Discovery
from tests.authority.support import Served, served
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority

PASSWORD = "of operator and viewer"
HOST = "localhost"
_FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?')


@functools.cache
def _hash() -> SecretStr:
    return SecretStr(hash_password(PASSWORD))


def users() -> tuple[User, ...]:
    """Return one who may do everything, and one who may only look."""
    everything = Permissions(read=("*",))
    return (
        User(name="operator", password_hash=_hash()),
        User(
            name="viewer",
            password_hash=_hash(),
            permissions={
                "query": Permissions(read=("*",), write=("subscriptions", "subscriptions/*")),
                "connection": everything,
                "channelmapping": everything,
                "events": everything,
            },
        ),
    )


@dataclass
class Person:
    """Somebody with a browser that runs no scripts."""

    http: httpx.Client
    name: str

    @property
    def cookies(self) -> CookieJar:
        """What the browser keeps."""
        return self.http.cookies.jar

    def log_in(self) -> httpx.Response:
        """Log in and consent, and return the page that follows."""
        answer = self.http.get("/login?next=/routing")
        for _ in range(3):
            form = _FORM.search(answer.text)
            if form is None or "action" not in answer.text or "csrf" not in form[2]:
                break
            fields = {
                name: unescape(value) or {"password": PASSWORD}.get(name, self.name)
                for name, value in _INPUT.findall(form[2])
            }
            target = urljoin(str(answer.url), unescape(form[1]))
            answer = self.http.post(target, data={**fields, "action": _action(form[2])})
        assert answer.status_code == 200, answer.text
        return answer

    def post(self, path: str, **fields: str) -> dict[str, object]:
        """Do what the script of a page does, and return what it is told."""
        answer = self.http.post(
            path, data=fields, headers={"accept": "application/json", "origin": self.origin}
        )
        assert answer.status_code == 200, answer.text
        said: dict[str, object] = answer.json()
        return said

    @property
    def origin(self) -> str:
        """The Controller's origin."""
        return str(self.http.base_url).rstrip("/")


def _action(form: str) -> str:
    button = re.search(r'<button[^>]*name="action"[^>]*value="([^"]*)"', form)
    return button[1] if button else ""


class _Outage:
    """Has an app answer 503 while it is down."""

    def __init__(self) -> None:
        self._is_down = False

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the app that is down at times."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            served = PlainTextResponse("down\n", 503) if self._is_down else app
            await served(scope, receive, send)

        return answer

    @contextlib.contextmanager
    def lasting(self) -> Iterator[None]:
        """Be down until the block ends."""
        self._is_down = True
        yield
        self._is_down = False


@dataclass
class World:
    """The plant.

    Attributes:
        tls: issues all certificates.
        authority: the development Authorization Server.
        registry: where the Registry is.
        registered: what the Registry knows.
        loop: where the Registry runs; what it knows is changed there.
        outage: takes the Authorization Server down.
        nodes: the applications of the Nodes.
        controller: where the Controller is.
        app: the Controller's application.
        serving_registry: serves the Registry, as often as it is asked to.
        registry_runs: ends with the Registry.
    """

    tls: TestAuthority
    directory: Path
    authority: Served
    registry: str
    registered: Registry
    loop: asyncio.AbstractEventLoop | None = None
    outage: _Outage = field(default_factory=_Outage)
    controller: str = ""
    app: FastAPI = field(default_factory=FastAPI)
    nodes: list[FastAPI] = field(default_factory=list)
    serving_registry: Callable[[], contextlib.AbstractContextManager[object]] = (
        contextlib.nullcontext
    )
    registry_runs: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def registry_down(self) -> Iterator[None]:
        """Stop the Registry until the block ends."""
        self.registry_runs.close()
        yield
        self.registry_runs.enter_context(self.serving_registry())

    def tell(self, change: Callable[[Registry], object]) -> None:
        """Change what the Registry knows, as if Nodes had said so; all of it at once."""
        assert self.loop is not None

        async def changed() -> None:
            change(self.registered)

        asyncio.run_coroutine_threadsafe(changed(), self.loop).result(15)

    @contextlib.contextmanager
    def person(self, name: str = "operator") -> Iterator[Person]:
        """Open a browser."""
        with httpx.Client(
            verify=self.tls.client_context(),
            base_url=self.controller,
            follow_redirects=True,
            timeout=15,
            headers={"accept": "text/html"},
        ) as http:
            yield Person(http, name)

    @contextlib.contextmanager
    def node(self, label: str) -> Iterator[FastAPI]:
        """Run a Node, which has registered itself once the block begins."""
        port = free_port()
        settings = Settings(
            host_name=HOST,
            port=port,
            label=label,
            seed=label,
            interfaces=("lo",),
            registries=(self.registry,),
            event_interval=0.2,
        )
        client = AuthorizationClient(
            ClientSettings(
                name=f"{label} {port}",
                scope="registration events",
                auth_method="client_secret_basic",
                servers=self.authority.issuer,
                ca_file=self.tls.ca_file,
                discovery="off",
                initial_access_token=self.authority.authority.initial_access_token(),
            )
        )
        app = create_app(settings, self._protection(label), None, client)
        # FastAPI makes models of routes with their first request, which pydantic does not bear in
        # several threads at once.
        app.openapi()
        with serving(app, tls=self.tls.server_context(HOST), port=port):
            self.nodes.append(app)
            # What it has is registered in the order of IS-04, Receivers last.
            node: ReferenceNode = app.state.node
            until(lambda: node.receivers.keys() <= self.registered["receivers"].keys(), 30)
            yield app
            self.nodes.remove(app)

    @contextlib.contextmanager
    def controlling(self) -> Iterator[None]:
        """Run the Controller."""
        port = free_port()
        settings = ControllerSettings(
            host_name=HOST,
            port=port,
            registries=(self.registry,),
            networks=("127.0.0.0/8", "::1/128"),
        )
        client = AuthorizationClient(
            ClientSettings(
                name=f"controller {port}",
                scope=SCOPES,
                grant="authorization_code",
                auth_method="none",
                servers=self.authority.issuer,
                ca_file=self.tls.ca_file,
                discovery="off",
                redirect_uri=f"{settings.origin}/callback/{{server}}",
            )
        )
        self.app = create_controller(settings, client)
        with serving(self.app, tls=self.tls.server_context(HOST), port=port):
            self.controller = settings.origin
            yield

    def _protection(self, name: str) -> nmos_auth.Settings:
        return _protection(self.tls, self.directory, self.authority.issuer, name)


def _protection(tls: TestAuthority, directory: Path, issuer: str, name: str) -> nmos_auth.Settings:
    return nmos_auth.Settings(
        audience=HOST,
        servers=issuer,
        ca_file=tls.ca_file,
        discovery=Discovery.OFF,
        audit_log=str(directory / f"{name}-audit.log"),
    )


@contextlib.contextmanager
def world(
    tls: TestAuthority,
    directory: Path,
    *,
    token_lifetime: int = 300,
    resources: Iterable[tuple[str, Mapping[str, object]]] = (),
) -> Iterator[World]:
    """Run an Authorization Server and a Registry.

    Args:
        tls: issues certificates.
        directory: of audit logs.
        token_lifetime: of access tokens, in seconds.
        resources: what the Registry knows from the start, and for as long as it runs: collections
            and resources.
    """
    outage = _Outage()
    with contextlib.ExitStack() as stack:
        authority = stack.enter_context(
            served(
                tls=tls,
                users=users(),
                registration=RegistrationPolicy(audience=(HOST,)),
                token_lifetime=token_lifetime,
                around=outage.around,
            )
        )
        port = free_port()
        app = create_registry(
            RegistrySettings(
                host_name=HOST, port=port, pri="off", expiry=86400 if resources else 12
            ),
            _protection(tls, directory, authority.issuer, "registry"),
        )
        for collection, resource in resources:
            app.state.registry.register(collection, resource)
        made = World(tls, directory, authority, f"https://{HOST}:{port}", app.state.registry)
        made.outage = outage
        lifespan = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def noted(running: FastAPI) -> AsyncIterator[None]:
            made.loop = asyncio.get_running_loop()
            async with lifespan(running):
                yield

        app.router.lifespan_context = noted
        made.serving_registry = functools.partial(
            serving, app, tls=tls.server_context(HOST), port=port
        )
        with made.registry_runs as runs:
            runs.enter_context(made.serving_registry())
            yield made


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until something holds that a server in a thread brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


_ROW = re.compile(r'name="(receiver|sender)" value="([0-9a-f-]{36})"')


def node_of(plant: World, number: int = 0) -> ReferenceNode:
    """Return the Node of one of the applications."""
    node: ReferenceNode = plant.nodes[number].state.node
    return node


def patches(plant: World) -> int:
    """Count the changes that all Nodes have made for anybody."""
    return sum(len(node_of(plant, number).changes) for number in range(len(plant.nodes)))


def see_all(person: Person) -> None:
    """Wait until the whole plant is shown: all collections were read, not only those of rows."""

    def is_shown() -> bool:
        page = person.http.get("/routing").text
        return 'data-phase="following"' in page and len(_ROW.findall(page)) >= 20

    until(is_shown)


def note(person: Person, receiver: str) -> str:
    """Return what a page shows of a Receiver's last change."""
    page = person.http.get(f"/routing?receiver={receiver}").text
    found = re.search(
        rf'form="take" name="receiver" value="{receiver}".*?class="note">([^<]*)<', page, re.DOTALL
    )
    assert found is not None
    return found[1]


class Stream:
    """What a page is told, read in a thread."""

    def __init__(self, person: Person, path: str = "/live") -> None:
        self._path = path
        self.values: dict[str, dict[str, object]] = {}
        self.events: list[tuple[str, dict[str, object]]] = []
        self.rows: dict[str, dict[str, object]] = {}
        self._person = person
        self.thread = threading.Thread(target=self._read, args=[person], daemon=True)
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The end of the session ends the stream, as it does in all tabs.
        self._person.http.post("/logout", headers={"origin": self._person.origin})
        self.thread.join(10)

    def _read(self, person: Person) -> None:
        with person.http.stream("GET", self._path, timeout=60) as answer:
            name = ""
            for line in answer.iter_lines():
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    self._take(name, json.loads(value))

    def _take(self, name: str, data: dict[str, object]) -> None:
        if name == "values":
            self.values |= data  # type: ignore[arg-type]
        if name == "rows":
            for row in data["rows"]:  # type: ignore[attr-defined]
                self.rows[row["id"]] = row
            for row in data["gone"]:  # type: ignore[attr-defined]
                self.rows.pop(row["id"], None)
        self.events.append((name, data))

    def state(self, name: str) -> object:
        """Return something of how following goes, as it was told last."""
        told = [data for event, data in self.events if event == "state"]
        return told[-1].get(name) if told else None

    def names(self) -> list[str]:
        """Return the names of the events so far."""
        return [name for name, _ in self.events]
