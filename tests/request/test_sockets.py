"""Open WebSockets whose tokens end, over real connections: NMOS_AUTH_EXPIRED_SOCKETS."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nmos_auth import (
    EventSources,
    InsufficientScope,
    InvalidToken,
    NmosAuthMiddleware,
    Settings,
    access_token,
    event_sources,
)
from nmos_auth.errors import AuthorizationError, Reason
from nmos_auth.request.sockets import EndingSocket, close_for_policy
from nmos_auth.settings import ExpiredSockets
from nmos_auth.testing import StandInAuthorizationServer
from tests.support.audit import AuditLine, lines_of
from tests.support.authority import FakeAuthorizationServer
from tests.support.clocks import Clock
from tests.support.servers import serving
from tests.support.tokens import claims_of, signing_key
from tests.support.waiting import eventually

EVENTS = "/x-nmos/events/v1.0"
SOURCE = "9f463872-9621-4939-aa3a-dc3c82d8578b"
OTHER = "7f87027c-ebb4-4640-b878-14952915249a"
SOON, LATER = 0.2, 1.0


class Handlers:
    """An app with handlers of every habit, and how each of them ended."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ends: list[str] = []
        self.app = FastAPI(openapi_url=None)
        for name in ("echo", "talk", "late", "deaf", "refuse"):
            self._add(f"{EVENTS}/{name}", getattr(self, name))
        self._add("/me", self.me)
        self._add("/me-late", self.me_late)
        self._add("/anybody", self.echo)
        self.app.websocket(f"{EVENTS}/subscriptions")(subscriptions)
        self.app.websocket(f"{EVENTS}/careless")(self.echo)

    def _add(self, path: str, handler: Callable[[WebSocket], Awaitable[None]]) -> None:
        @self.app.websocket(path)
        async def handle(websocket: WebSocket) -> None:
            try:
                await handler(websocket)
            except WebSocketDisconnect as error:
                self.ends.append(f"{path.rpartition('/')[2]} {error.code}")

    async def echo(self, websocket: WebSocket) -> None:
        """Send back what comes."""
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    async def talk(self, websocket: WebSocket) -> None:
        """Send, and never receive."""
        await websocket.accept()
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(0.02)

    async def late(self, websocket: WebSocket) -> None:
        """Accept when the token has ended."""
        self.clock.now += LATER
        await self.echo(websocket)

    async def deaf(self, websocket: WebSocket) -> None:
        """Let a send that fails pass out of the handler, as an app without Starlette does."""
        await websocket.accept()
        while True:
            await websocket._send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0.02)

    async def refuse(self, websocket: WebSocket) -> None:
        """Refuse when it is over already."""
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive_text()
        raise InsufficientScope

    async def me(self, websocket: WebSocket) -> None:
        """Ask for a token outside `/x-nmos`."""
        await access_token(websocket)
        await self.echo(websocket)

    async def me_late(self, websocket: WebSocket) -> None:
        """Ask for it after the handshake."""
        await websocket.accept()
        await access_token(websocket)
        while True:
            await websocket.send_text(await websocket.receive_text())


async def subscriptions(
    websocket: WebSocket, sources: Annotated[EventSources, Depends(event_sources)]
) -> None:
    """Answer a list of sources with those allowed."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_json(sources.allowed(await websocket.receive_json()))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The audit log."""
    return tmp_path / "audit.log"


@contextlib.contextmanager
def served(handlers: Handlers, settings: Settings) -> Iterator[int]:
    """Serve the handlers, protected, and yield the port."""
    handlers.app.add_middleware(NmosAuthMiddleware, settings=settings, clock=handlers.clock)
    with serving(handlers.app) as port:
        yield port


@contextlib.asynccontextmanager
async def opened(port: int, path: str, token: str | None) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket with a token."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"ws://127.0.0.1:{port}{path}"
    async with asyncio.timeout(10), connect(url, additional_headers=headers, proxy=None) as socket:
        yield socket


async def keys_are_there(port: int, token: str) -> None:
    """Wait until the server has fetched keys: before, its answer is 503."""
    while True:
        try:
            async with opened(port, f"{EVENTS}/echo", token):
                return
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 503  # noqa: PT017 - others end the waiting
            await asyncio.sleep(0.02)


async def close_code(socket: ClientConnection) -> int | None:
    """Read until the server closes, and give the code it closes with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


def closings(log: Path) -> list[AuditLine]:
    """Return the records of sockets that were closed."""
    return [line for line in lines_of(log) if line["status"] == 1008]


def brief(server: StandInAuthorizationServer, handlers: Handlers, seconds: float = SOON) -> str:
    """Sign a token for events that expires soon by the clock of the handlers, which stands still.

    So no handshake comes too late for it. Until it expires, the middleware looks at that clock as
    often as it is valid for.
    """
    now = handlers.clock.now
    return server.token(read={"events": ["*"]}, claims={"iat": now, "exp": now + seconds})


async def test_sockets_are_kept_by_default(server: StandInAuthorizationServer, log: Path) -> None:
    """A socket that was opened with a good token goes on when the token has expired."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log))) as port:
        async with opened(port, f"{EVENTS}/echo", brief(server, handlers)) as socket:
            handlers.clock.now += LATER
            await socket.send("still there")
            assert await socket.recv() == "still there"
        eventually(lambda: handlers.ends == ["echo 1000"])
    assert [line["status"] for line in lines_of(log)] == [101]


@pytest.mark.parametrize(
    ("habit", "ends"),
    [("echo", "echo 1008"), ("talk", "talk 1006"), ("late", "late 1008"), ("deaf", None)],
)
async def test_a_socket_ends_with_its_token(
    server: StandInAuthorizationServer, log: Path, habit: str, ends: str | None
) -> None:
    """The client sees 1008 on time, the handler a disconnect, and the audit log says why."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log), expired_sockets="close")) as port:
        token = brief(server, handlers)
        async with opened(port, f"{EVENTS}/{habit}", token) as socket:
            assert habit == "late" or not closings(log)
            handlers.clock.now += LATER
            assert await close_code(socket) == 1008
        if ends is not None:
            eventually(lambda: handlers.ends == [ends])
    (closing,) = closings(log)
    assert closing["outcome"] == "rejected"
    assert closing["reason"] == "expired"
    assert closing["path"] == f"{EVENTS}/{habit}"
    assert closing["verified"]
    assert token not in str(lines_of(log))


@pytest.mark.parametrize("habit", ["refuse", "careless"])
async def test_what_a_handler_raises_after_the_end_is_nobodys_concern(
    server: StandInAuthorizationServer, log: Path, caplog: pytest.LogCaptureFixture, habit: str
) -> None:
    """One closing and one record, and no traceback of the server's."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log), expired_sockets="close")) as port:
        async with opened(port, f"{EVENTS}/{habit}", brief(server, handlers)) as socket:
            handlers.clock.now += LATER
            assert await close_code(socket) == 1008
    assert [line["reason"] for line in closings(log)] == ["expired"]
    assert "Exception" not in caplog.text


async def test_messages_pass_until_the_end(server: StandInAuthorizationServer) -> None:
    """What is watched for its end is a socket like any other before it."""
    handlers = Handlers()
    with served(handlers, server.settings(expired_sockets="close")) as port:
        async with opened(port, f"{EVENTS}/echo", brief(server, handlers, 60)) as socket:
            for number in range(100):
                await socket.send(str(number))
            assert [await socket.recv() for _ in range(100)] == list(map(str, range(100)))


async def test_a_socket_that_ends_first_leaves_no_record(
    server: StandInAuthorizationServer, log: Path
) -> None:
    """Who has left is not closed again when the token expires."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log), expired_sockets="close")) as port:
        async with opened(port, f"{EVENTS}/echo", brief(server, handlers)):
            pass
        eventually(lambda: handlers.ends == ["echo 1000"])
        handlers.clock.now += LATER
        await asyncio.sleep(2 * SOON)
    assert closings(log) == []


async def test_sockets_outside_end_where_the_handler_asked_for_a_token(
    server: StandInAuthorizationServer, log: Path
) -> None:
    """Outside `/x-nmos` a socket ends with the token that it was identified by, if by any."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log), expired_sockets="close")) as port:
        async with (
            opened(port, "/anybody", None) as anybody,
            opened(port, "/me", brief(server, handlers)) as identified,
        ):
            handlers.clock.now += LATER
            assert await close_code(identified) == 1008
            await anybody.send("still there")
            assert await anybody.recv() == "still there"
    assert [line["path"] for line in closings(log)] == ["/me"]


async def test_a_token_asked_for_after_the_handshake_ends_its_socket(
    server: StandInAuthorizationServer, log: Path
) -> None:
    """Whether a handler accepts before it asks or after makes no difference."""
    handlers = Handlers()
    with served(handlers, server.settings(audit_log=str(log), expired_sockets="close")) as port:
        async with opened(port, "/me-late", brief(server, handlers)) as socket:
            await socket.send("there")
            assert await socket.recv() == "there"
            handlers.clock.now += LATER
            assert await close_code(socket) == 1008
    assert [line["reason"] for line in closings(log)] == ["expired"]


@pytest.mark.parametrize("expired_sockets", list(ExpiredSockets))
async def test_a_refusal_after_the_handshake_is_recorded(
    server: StandInAuthorizationServer, log: Path, expired_sockets: ExpiredSockets
) -> None:
    """A handler that refuses an open socket closes it, which the audit log has as a rejection."""
    settings = server.settings(audit_log=str(log), expired_sockets=expired_sockets)
    handlers = Handlers()
    with served(handlers, settings) as port:
        async with opened(port, f"{EVENTS}/refuse", brief(server, handlers, 60)) as refused:
            await refused.send("anything")
            assert await close_code(refused) == 1008
        async with opened(port, "/me-late", None) as nobody:
            assert await close_code(nobody) == 1008
    lines = closings(log)
    assert [line["outcome"] for line in lines] == ["rejected", "rejected"]
    assert [line["path"] for line in lines] == [f"{EVENTS}/refuse", "/me-late"]


async def test_a_socket_ends_when_its_key_is_withdrawn(
    authority: FakeAuthorizationServer, settings: Settings, log: Path
) -> None:
    """A key that the server publishes no more ends sockets too, and those of other keys stay."""
    claims = claims_of(authority.issuer, scope="events")
    authority.keys = [signing_key(0), signing_key(1)]
    update = {"expired_sockets": ExpiredSockets.CLOSE, "refresh_interval": 0.2}
    with served(Handlers(), settings.model_copy(update=update)) as port:
        await keys_are_there(port, signing_key(0).sign(claims))
        async with (
            opened(port, f"{EVENTS}/echo", signing_key(0).sign(claims)) as first,
            opened(port, f"{EVENTS}/echo", signing_key(1).sign(claims)) as second,
        ):
            authority.keys = [signing_key(1)]
            assert await close_code(first) == 1008
            await second.send("still there")
            assert await second.recv() == "still there"
    (closing,) = closings(log)
    assert closing["reason"] in {"signature", "keys are being fetched"}
    assert closing["verified"]


# The helper for IS-07


async def test_each_source_of_a_subscription_is_checked(
    server: StandInAuthorizationServer, log: Path
) -> None:
    """BCP-003-02: a source is subscribed to where the token may read `sources/{id}`."""
    token = server.token(read={"events": [f"sources/{SOURCE}"]})
    with served(Handlers(), server.settings(audit_log=str(log))) as port:
        async with opened(port, f"{EVENTS}/subscriptions", token) as socket:
            for command in (f'["{SOURCE}"]', f'["{OTHER}", "{SOURCE}", 1]', "[]"):
                await socket.send(command)
            assert await socket.recv() == f'["{SOURCE}"]'
            assert await socket.recv() == f'["{SOURCE}"]'
            assert await socket.recv() == "[]"
    records = [(line["outcome"], line["status"], line["reason"]) for line in lines_of(log)]
    assert records == [
        ("authorized", 101, "permitted"),
        ("authorized", None, "sources of a subscription"),
        ("rejected", None, "sources of a subscription"),
        ("authorized", None, "sources of a subscription"),
    ]
    assert [line["detail"] for line in lines_of(log)] == [
        None,
        None,
        f"read of claim 'x-nmos-events' does not cover the sources '{OTHER}', 'a number'",
        None,
    ]


@pytest.mark.parametrize(
    "sources",
    ["null", "1", f'"{SOURCE}"', f'{{"{SOURCE}": 1}}', json.dumps([SOURCE] * 10_001)],
    ids=["null", "number", "string", "object", "too many"],
)
async def test_what_is_not_an_array_of_sources_subscribes_to_nothing(
    sources: str, server: StandInAuthorizationServer, log: Path
) -> None:
    """A client may send anything: it is refused and recorded, and the handler goes on."""
    token = server.token(read={"events": ["*"]})
    with served(Handlers(), server.settings(audit_log=str(log))) as port:
        async with opened(port, f"{EVENTS}/subscriptions", token) as socket:
            await socket.send(sources)
            assert await socket.recv() == "[]"
            await socket.send(f'["{SOURCE}"]')
            assert await socket.recv() == f'["{SOURCE}"]'
    outcomes = [line["outcome"] for line in lines_of(log)]
    assert outcomes == ["authorized", "rejected", "authorized"]


async def test_without_authorization_every_source_is_allowed() -> None:
    """While NMOS_AUTH_ENABLED is false, the helper lets pass what can be a source."""
    with served(Handlers(), Settings(enabled=False)) as port:
        async with opened(port, f"{EVENTS}/subscriptions", None) as socket:
            await socket.send(f'["{SOURCE}", "a/b", "", null]')
            assert await socket.recv() == f'["{SOURCE}"]'


# What takes a server of a particular habit


class Lease:
    """A token that counts until a test ends it."""

    def __init__(self) -> None:
        self.good = True
        self.asked = asyncio.Event()
        self.errors: list[AuthorizationError] = []

    def remaining(self) -> float:
        """Return a moment, or refuse."""
        self.asked.set()
        if not self.good:
            raise InvalidToken(Reason.EXPIRED)
        return 0.01

    def ended(self, error: AuthorizationError) -> None:
        """Keep the error."""
        self.errors.append(error)


async def test_no_message_is_lost_by_giving_up_waiting() -> None:
    """A handler that waits with a time limit gets every message, in order."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    got: list[str] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while len(got) < 50:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    got.append((await receive())["text"])

    async def feed() -> None:
        for number in range(50):
            await asyncio.sleep(0.001 * (number % 3))
            incoming.put_nowait({"type": "websocket.receive", "text": str(number)})

    async def ignored(_: Message) -> None: ...

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        await EndingSocket(app, Lease())({}, incoming.get, ignored)
    assert got == list(map(str, range(50)))


class Particular:
    """A server that lets an application close with some codes only, as Daphne does."""

    def __init__(self, *codes: int, gone: bool = False) -> None:
        self._codes = codes
        self._gone = gone
        self.tried: list[int] = []

    async def send(self, message: Message) -> None:
        """Close, or raise what this server raises."""
        self.tried.append(message["code"])
        if self._gone:
            raise OSError("the client has left")
        if message["code"] not in self._codes:
            raise Exception(f"invalid close code {message['code']}")  # noqa: TRY002 - Daphne does


@pytest.mark.parametrize(
    ("server", "tried", "logged"),
    [
        (Particular(1008), [1008], ""),
        (Particular(1000, 3000), [1008, 3000], "tried with 3000"),
        (Particular(1000), [1008, 3000], "cannot be closed"),
        (Particular(gone=True), [1008], ""),
    ],
)
async def test_a_server_may_not_let_us_close_with_1008(
    server: Particular, tried: list[int], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket is closed with the code that the server lets pass, and else the log says so."""
    await close_for_policy(server.send)
    assert server.tried == tried
    assert logged in caplog.text
    assert bool(caplog.text) == bool(logged)


async def test_a_handler_that_waits_to_send_is_told() -> None:
    """A client that reads nothing does not keep the handler in the middle of a message."""
    lease = Lease()
    sending = asyncio.Event()

    async def silence() -> Message:
        raise AssertionError("nobody receives here")

    async def stuck(message: Message) -> None:
        if message["type"] == "websocket.send":
            sending.set()
            await asyncio.Event().wait()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "never read"})

    async def end() -> None:
        await sending.wait()
        lease.good = False

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(end())
        await EndingSocket(app, lease)({}, silence, stuck)
    assert [error.reason for error in lease.errors] == [Reason.EXPIRED]


async def test_time_limits_of_a_handler_are_its_own() -> None:
    """What a handler or a server does with TimeoutError is not mistaken for the end."""

    async def impatient() -> Message:
        raise TimeoutError("the server's own")

    async def ignored(_: Message) -> None: ...

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await receive()

    with pytest.raises(TimeoutError, match="the server's own"):
        await EndingSocket(app, Lease())({}, impatient, ignored)


async def test_the_handler_ends_although_the_server_cannot_send() -> None:
    """A client that reads nothing holds up the closing, and not the handler's notice of it."""
    lease = Lease()
    noticed = asyncio.Event()
    sent: list[str] = []

    async def silence() -> Message:
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    async def stuck(message: Message) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.close":
            await noticed.wait()
            raise OSError("the client has left")

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await lease.asked.wait()
        lease.good = False
        assert await receive() == {"type": "websocket.disconnect", "code": 1008, "reason": ""}
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="no longer valid"):
            await send({"type": "websocket.send", "text": "too late"})
        noticed.set()

    async with asyncio.timeout(10):
        await EndingSocket(app, lease)({}, silence, stuck)
    assert sent == ["websocket.accept", "websocket.close"]
    assert [error.reason for error in lease.errors] == [Reason.EXPIRED]
