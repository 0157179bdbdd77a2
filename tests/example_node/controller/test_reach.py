"""Where a user's token goes, and where nothing goes at all: hrefs are what Devices say."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from example_node.controller.plant import Control
from example_node.controller.plant.resources import Device
from example_node.controller.reach import (
    CONNECTION,
    JSON,
    LARGEST_BODY,
    MOST_AT_ONCE,
    NoAnswerError,
    OutOfReachError,
    Reach,
    permits,
)
from nmos_auth.client import TokenHosts, TokenSource
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.client.tokens.source import boot_time
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority
from tests.support.tokens import compact

HERE = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def token_for(*audience: str) -> TokenSource:
    """Return tokens that name these hosts; nobody verifies them here."""
    token = SecretStr(compact(b"{}", json.dumps({"aud": list(audience)}).encode()))

    async def obtain() -> GrantedTokens:
        return GrantedTokens(token, 300.0, frozenset(), requested_at=boot_time())

    return TokenSource(obtain)


class Crowd:
    """Answers once as many requests are there as may be, and counts them."""

    def __init__(self) -> None:
        self.here = self.most = 0
        self._full = asyncio.Event()

    async def answer(self) -> Response:
        """Wait for the others."""
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here >= MOST_AT_ONCE:
            self._full.set()
        await self._full.wait()
        self.here -= 1
        return Response("{}")


@dataclass
class FakeDevice:
    """Answers on its port, and counts who came with a token."""

    port: int = 0
    came: list[tuple[str, bool]] = field(default_factory=list)
    crowd: Crowd = field(default_factory=Crowd)

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.port}"

    async def answer(self, request: Request) -> Response:
        """Redirect, or answer with more than is read."""
        path = request.url.path
        self.came.append((path, "authorization" in request.headers))
        match path:
            case "/slash" | "/elsewhere" | "/loop" | "/repeat":
                return self._redirect(path, request.headers.get("authorization", ""))
            case "/crowded":
                return await self.crowd.answer()
            case _ if path.startswith("/cut"):
                return StreamingResponse(_cut(), headers={"content-length": "100"})
            case "/large":
                return Response(b" " * (LARGEST_BODY + 1))
            case "/two-forms":
                is_json = request.headers["accept"] == JSON
                return Response("{}" if is_json else "v=0")
            case _:
                return Response('{"a": 1}')

    def _redirect(self, path: str, authorization: str) -> Response:
        target, status = {
            "/slash": ("/slash/", 301),
            "/elsewhere": (f"https://127.0.0.1:{self.port}/there", 307),
            "/loop": ("/loop", 302),
            "/repeat": (f"/cut/{authorization.removeprefix('Bearer ')}", 302),
        }[path]
        return RedirectResponse(target, status)


async def _cut() -> AsyncIterator[bytes]:
    """Begin a body, and close the connection: less comes than was announced."""
    yield b"{"


@pytest.fixture(scope="module")
def served(tls: TestAuthority) -> Iterator[FakeDevice]:
    """Serve a Device over TLS."""
    device = FakeDevice()
    routes = [Route("/{path:path}", device.answer, methods=["GET", "PATCH"])]
    app = Starlette(routes=routes)
    with serving(app, tls=tls.server_context("localhost", "127.0.0.1")) as port:
        device.port = port
        yield device


@pytest.fixture
async def reach(tls: TestAuthority) -> AsyncIterator[Reach]:
    """Make what sends requests with a token for this machine's name."""
    async with token_for("localhost") as tokens:
        made = Reach(tls.client_context(), tokens, TokenHosts(), permits(HERE), allow_http=False)
        yield made
        await made.aclose()


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("https://localhost/x-nmos/connection/v1.1", ""),
        ("wss://localhost:8443/events", ""),
        ("http://localhost/", "is not https"),
        ("ws://localhost/", "is not https"),
        ("ftp://localhost/", "is not https"),
        ("file:///etc/passwd", "not a URL that may be used"),
        ("https://evil.example/", "Your token is not for evil.example"),
        ("https://localhost.evil.example/", "Your token is not for"),
        ("https://evil.example#@localhost/", "not a URL that may be used"),
        ("https://a:b@localhost/", "not a URL that may be used"),
        ("https://localhost/#x", "not a URL that may be used"),
        ("https://[::1", "not a URL"),
        ("//localhost/", "is not https"),
        ("", "not a URL that may be used"),
    ],
)
async def test_where_requests_may_go(reach: Reach, href: str, why: str) -> None:
    """To https of hosts that the token names, and nowhere else; the user is told why."""
    said = await reach.bar(href)
    assert why in said
    assert bool(said) is bool(why)
    if why:
        with pytest.raises(OutOfReachError):
            await reach.fetch(href, with_token=False)


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("192.0.2.1", True),
        ("10.1.2.3", True),
        ("2001:db8::1", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("::1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address that is refused
        ("239.1.1.1", False),
    ],
)
def test_which_addresses_are_connected_to(address: str, permitted: bool) -> None:  # noqa: FBT001 - a case of the table
    """None of this machine, of the link or of groups, unless the operator says so."""
    parsed = ipaddress.ip_address(address)
    assert permits(())(parsed) is permitted
    everywhere = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    assert permits(everywhere)(parsed)


async def test_an_address_that_is_not_permitted_gets_no_connection(
    tls: TestAuthority, served: FakeDevice
) -> None:
    """The name is one that the token names, and the address decides at the connection."""
    served.came.clear()
    async with token_for("localhost") as tokens:
        made = Reach(tls.client_context(), tokens, TokenHosts(), permits(()), allow_http=False)
        with pytest.raises(OutOfReachError, match="no address that may be connected to"):
            await made.fetch(f"{served.origin}/a", with_token=True)
        await made.aclose()
    assert not served.came


async def test_a_redirect_is_followed_once_to_the_same_origin(
    reach: Reach, served: FakeDevice
) -> None:
    """IS-05 requires it for trailing slashes; a change is never sent a second time so."""
    served.came.clear()
    assert (await reach.fetch(f"{served.origin}/slash", with_token=True)).is_success
    assert served.came == [("/slash", True), ("/slash/", True)]
    served.came.clear()
    for path in ("/elsewhere", "/loop"):
        assert not (await reach.fetch(served.origin + path, with_token=True)).is_success
    assert [path for path, _ in served.came] == ["/elsewhere", "/loop", "/loop"]
    served.came.clear()
    reply = await reach.fetch(f"{served.origin}/slash", "PATCH", {}, with_token=True)
    assert (reply.status, len(served.came)) == (301, 1)


async def test_no_error_has_a_token_that_a_device_redirects_to(
    reach: Reach, served: FakeDevice
) -> None:
    """The place of a redirect may repeat what came with the request."""
    served.came.clear()
    with pytest.raises(NoAnswerError, match="redirects") as raised:
        await reach.fetch(f"{served.origin}/repeat", with_token=True)
    (_, _), (path, _) = served.came
    assert path.removeprefix("/cut/") not in str(raised.value)


async def test_requests_of_one_user_are_bounded(reach: Reach, served: FakeDevice) -> None:
    """However many are made at once: the rest waits for its turn."""
    url = f"{served.origin}/crowded"
    asked = [reach.fetch(url, with_token=True) for _ in range(MOST_AT_ONCE + 8)]
    assert all(reply.is_success for reply in await asyncio.gather(*asked))
    assert served.crowd.most == MOST_AT_ONCE


async def test_tokens_go_only_where_the_device_asks_for_one(
    reach: Reach, served: FakeDevice
) -> None:
    """A control that says that it needs none gets none."""
    served.came.clear()
    for needs in (True, False):
        control = Control(CONNECTION[0], f"{served.origin}/", needs)
        assert (await reach.send(control, "GET", "a")).body == {"a": 1}
    assert served.came == [("/a", True), ("/a", False)]


async def test_more_than_is_read_is_no_answer(reach: Reach, served: FakeDevice) -> None:
    """The message names the host, and no path; of a change, the status is known all the same."""
    with pytest.raises(NoAnswerError) as raised:
        await reach.fetch(f"{served.origin}/large", with_token=True)
    assert "/large" not in str(raised.value)
    reply = await reach.fetch(f"{served.origin}/large", "PATCH", {}, with_token=True)
    assert (reply.status, reply.body) == (200, None)


async def test_what_was_not_sent_is_told_from_an_answer_that_is_lost(
    reach: Reach, served: FakeDevice
) -> None:
    """A port where nobody listens has heard nothing; who closes the connection may have."""
    nobody = free_port()
    with pytest.raises(OutOfReachError, match=f"localhost:{nobody}"):
        await reach.fetch(f"https://localhost:{nobody}/", "PATCH", {}, with_token=True)
    with pytest.raises(NoAnswerError):
        await reach.fetch(f"{served.origin}/cut", "PATCH", {}, with_token=True)


async def test_the_newest_control_that_may_be_used(reach: Reach) -> None:
    """v1.1 before v1.0, a slash at the end aside; what is out of reach is passed over."""
    good = "https://localhost:1/x-nmos/connection"

    def device(*controls: tuple[str, str]) -> Device:
        return Device(
            id="d",
            version="",
            label="",
            description="",
            tags={},
            node_id="",
            type="",
            controls=tuple(Control(kind, href, authorization=True) for kind, href in controls),
        )

    newest, oldest = CONNECTION
    both = device((oldest, f"{good}/v1.0"), (f"{newest}/", f"{good}/v1.1"))
    assert (await reach.control(both, CONNECTION)).href == f"{good}/v1.1"
    barred = device((newest, "https://evil.example/"), (oldest, f"{good}/v1.0"))
    assert (await reach.control(barred, CONNECTION)).href == f"{good}/v1.0"
    with pytest.raises(OutOfReachError, match="no control sr-ctrl"):
        await reach.control(device(), CONNECTION)
    with pytest.raises(OutOfReachError, match="has a query"):
        await reach.control(device((newest, f"{good}?a=")), CONNECTION)


async def test_a_transport_file_is_not_asked_for_as_json(reach: Reach, served: FakeDevice) -> None:
    """Some Nodes have both forms at one URL, and only SDP may be staged at a Receiver."""
    url = f"{served.origin}/two-forms"
    assert (await reach.fetch(url, with_token=True)).body == {}
    answer = await reach.fetch(url, with_token=True, accept="application/sdp")
    assert answer.text == "v=0"
