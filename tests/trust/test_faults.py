"""A Node whose Authorization Server fails, lies or stalls: served on loopback, over TLS.

No good token with a known key is ever refused, and no request waits for a server.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from tests.support.authority import FakeAuthorizationServer, Responder
from tests.support.certificates import BAD_CERTIFICATES
from tests.support.responders import Stall, endless, huge, json_body, plain, redirect, zipped
from tests.support.scene import PROMPT, SELF, MakeSettings, Node, foreign_token, protected
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/jwks"

Fault = Callable[[FakeAuthorizationServer], Responder]


def metadata(**changes: object) -> Fault:
    """Make a fault: metadata with changes; None leaves a member out."""

    def fault(server: FakeAuthorizationServer) -> Responder:
        members = server.metadata(**changes)
        return json_body({name: value for name, value in members.items() if value is not None})

    return fault


METADATA_FAULTS: dict[str, Fault] = {
    "another issuer": metadata(issuer="https://evil.example.com"),
    "no jwks_uri": metadata(jwks_uri=None),
    "jwks_uri over http": lambda server: json_body(
        server.metadata(jwks_uri=f"http://localhost:{server.port}/jwks")
    ),
    "jwks_uri where nothing listens": metadata(jwks_uri="https://localhost:1/jwks"),
    "a name twice": lambda server: plain(
        b'{"issuer":"https://evil.example",' + json.dumps(server.metadata()).encode()[1:]
    ),
    "404": lambda server: json_body(server.metadata(), 404),
    "500": lambda _: json_body({"error": "server_error"}, 500),
    "half": lambda server: plain(json.dumps(server.metadata()).encode()[:-9]),
    "huge": lambda server: huge(server.metadata()),
    "redirected to itself": lambda _: redirect(METADATA),
    "redirected": lambda _: redirect("/elsewhere"),
}

KEY_SET_FAULTS: dict[str, Fault] = {
    "no keys": lambda _: json_body({}),
    "keys an object": lambda server: json_body({"keys": {"0": server.keys[0].jwk()}}),
    "a name twice": lambda server: plain(
        b'{"keys":[],' + json.dumps(server.jwks()).encode()[1:],
    ),
    "503": lambda _: plain(b"", 503, [(b"retry-after", b"86400")]),
    "HTML": lambda _: plain(b"<html>log in</html>", headers=[(b"content-type", b"text/html")]),
    "empty": lambda _: plain(b""),
    "NaN": lambda server: plain(json.dumps(server.jwks()).encode()[:-1] + b',"more":NaN}'),
    "endless": lambda server: endless(server.jwks()),
    "zipped": lambda server: zipped(server.jwks()),
    "redirected": lambda _: redirect("/elsewhere"),
}

FAULTS = [
    pytest.param(path, fault, id=f"{path[-6:]} {name}")
    for path, faults in ((METADATA, METADATA_FAULTS), (JWKS, KEY_SET_FAULTS))
    for name, fault in faults.items()
]


def assert_not_yet(node: Node, server: FakeAuthorizationServer) -> None:
    """Check that the Node says that it has no keys yet, and nothing more."""
    response = node.get(server.token())
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["retry-after"].isdecimal()
    assert response.json().keys() == {"code", "error", "debug"}
    assert response.json()["code"] == 503


@pytest.mark.parametrize(("path", "fault"), FAULTS)
def test_a_bad_document(
    path: str, fault: Fault, authority: FakeAuthorizationServer, quick_settings: MakeSettings
) -> None:
    """At the start it gives no keys, later it takes none away, and it is got over."""
    elsewhere = authority.metadata() if path == METADATA else authority.jwks()
    authority.responders["/elsewhere"] = json_body(elsewhere)
    authority.responders[path] = fault(authority)
    before = authority.count(path)
    with protected(quick_settings(authority, refresh_interval=0.02)) as node:
        authority.wait_for_requests(before + 2, path)
        assert_not_yet(node, authority)

        del authority.responders[path]
        cached = authority.token()
        node.until(lambda: cached)

        authority.responders[path] = fault(authority)
        authority.wait_for_requests(authority.count(path) + 3, path)
        assert node.status(cached) == 200
        assert node.status(authority.token()) == 200
        assert node.status(foreign_token(authority)) in {401, 503}
        assert node.status(cached) == 200

        del authority.responders[path]
        authority.keys.insert(0, signing_key(1))
        node.until(authority.token)
        assert node.status(cached) == 200
    assert authority.count("/elsewhere") == 0


# Not there


def test_down_at_the_start_and_then_up(tls: TestAuthority, make_settings: MakeSettings) -> None:
    """503 with Retry-After until it is up; then its keys come of themselves, within seconds."""
    server = FakeAuthorizationServer([signing_key(0)])
    with listen() as free:
        server.port = free.getsockname()[1]
    with protected(make_settings(server)) as node:
        for _ in range(20):
            assert_not_yet(node, server)
        with server.running(tls):
            node.until(server.token, within=3)


def test_down_later(tls: TestAuthority, quick_settings: MakeSettings) -> None:
    """Cached or not, good tokens of known keys count; it comes back with new ones."""
    server = FakeAuthorizationServer([signing_key(0)])
    with listen() as free:
        server.port = free.getsockname()[1]
    with protected(quick_settings(server)) as node:
        cached = server.token()
        with server.running(tls):
            node.until(lambda: cached)
        for _ in range(50):
            assert node.status(cached) == 200
            assert node.status(server.token()) == 200
            assert node.status(foreign_token(server)) in {401, 503}
        server.keys[:] = [signing_key(1)]
        with server.running(tls):
            node.until(server.token)
            assert node.status(cached) in {401, 503}


@pytest.mark.parametrize("path", [METADATA, JWKS])
@pytest.mark.parametrize("begun", [False, True])
def test_mute_at_the_start(
    path: str, *, begun: bool, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Each request is answered at once, and the server is asked no more for it."""
    stall = authority.responders[path] = Stall(begun=begun)
    before = authority.count(path)
    with protected(make_settings(authority)) as node:
        authority.wait_for_requests(before + 1, path)
        for _ in range(30):
            assert_not_yet(node, authority)
        assert authority.count(path) == before + 1
        del authority.responders[path]
        stall.release()
        node.until(authority.token, within=4)


@pytest.mark.parametrize("path", [METADATA, JWKS])
def test_mute_later(
    path: str, authority: FakeAuthorizationServer, quick_settings: MakeSettings
) -> None:
    """Known tokens are good, unknown ones are told to come back, and nobody waits."""
    with protected(quick_settings(authority)) as node:
        cached = authority.token()
        node.until(lambda: cached)
        stall = authority.responders[path] = Stall()
        before = authority.count(path)
        authority.wait_for_requests(before + 1, path)
        for _ in range(20):
            assert node.status(cached) == 200
            assert node.status(authority.token()) == 200
            unknown = node.get(foreign_token(authority))
            assert unknown.status_code == 503
            assert int(unknown.headers["retry-after"]) >= 1
        assert authority.count(path) == before + 1
        authority.keys.insert(0, signing_key(1))
        del authority.responders[path]
        stall.release()
        node.until(authority.token)


def test_a_server_that_accepts_and_never_speaks(make_settings: MakeSettings) -> None:
    """Not even TLS: the Node stops as promptly as it answers."""
    server = FakeAuthorizationServer([signing_key(0)])
    with listen() as deaf:
        server.port = deaf.getsockname()[1]
        with protected(make_settings(server)) as node:
            connection, _ = deaf.accept()
            for _ in range(20):
                assert_not_yet(node, server)
        connection.close()


def test_mute_servers_hold_up_no_other(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """However many answer nothing, a good one is asked meanwhile, and not after their time."""
    still_held: list[bool] = []

    async def good(scope: Scope, receive: Receive, send: Send) -> None:
        still_held.append(not any(stall.abandoned.is_set() for stall in stalls))
        await json_body(authority.metadata())(scope, receive, send)

    authority.responders[METADATA] = good
    mute = tuple(f"{authority.issuer}/mute{number}" for number in range(24))
    stalls = [Stall() for _ in mute]
    for number, stall in enumerate(stalls):
        authority.responders[f"{METADATA}/mute{number}"] = stall
    settings = make_settings(servers=(*mute, authority.issuer))
    with protected(settings) as node:
        node.until(authority.token)
        for stall in stalls:
            stall.release()
    assert still_held[0]


async def test_fifty_at_once_cause_one_fetch(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Those who bring an unknown key share one fetch, and it ends well for all of them."""
    with protected(make_settings(authority)) as node:
        await asyncio.to_thread(node.until, authority.token)
        stall = authority.responders[METADATA] = Stall()
        before = authority.count(METADATA)
        authority.keys.insert(0, signing_key(1))
        async with httpx2.AsyncClient(base_url=node.base_url, trust_env=False) as client:
            answers = await asyncio.gather(
                *(
                    client.get(SELF, headers={"authorization": f"Bearer {authority.token()}"})
                    for _ in range(50)
                )
            )
        assert {each.status_code for each in answers} == {503}
        assert max(each.elapsed.total_seconds() for each in answers) < 2 * PROMPT
        authority.wait_for_requests(before + 1, METADATA)
        assert authority.count(METADATA) == before + 1
        stall.release()
        del authority.responders[METADATA]
        await asyncio.to_thread(node.until, authority.token)


def test_a_client_that_goes_away_takes_no_fetch_with_it(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """The fetch it started goes on for all who come after."""
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
        released = Stall()
        authority.responders[METADATA] = released
        authority.keys.insert(0, signing_key(1))
        before = authority.count(METADATA)
        address = (node.base_url.host, node.base_url.port)
        with socket.create_connection(address) as hasty:
            request = f"GET {SELF} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {authority.token()}"
            hasty.sendall(f"{request}\r\n\r\n".encode())
            authority.wait_for_requests(before + 1, METADATA)
        del authority.responders[METADATA]
        assert not released.abandoned.wait(0.2)
        released.release()
        node.until(authority.token)


# Certificates


@pytest.mark.parametrize("name", BAD_CERTIFICATES)
def test_a_server_with_a_bad_certificate_has_no_say(
    name: str, tls: TestAuthority, quick_settings: MakeSettings
) -> None:
    """It gives no keys, takes none away, and is asked nothing; with a good one it is back."""
    server = FakeAuthorizationServer([signing_key(0)])
    with listen() as free:
        server.port = free.getsockname()[1]
    with protected(quick_settings(server)) as node:
        with server.running(tls, context=BAD_CERTIFICATES[name](tls)):
            for _ in range(20):
                assert_not_yet(node, server)
        assert server.requests == []
        with server.running(tls):
            cached = server.token()
            node.until(lambda: cached)
        asked = server.count()
        server.keys[:] = [signing_key(1)]
        with server.running(tls, context=BAD_CERTIFICATES[name](tls)):
            for _ in range(20):
                assert node.status(cached) == 200
                assert node.status(foreign_token(server, signing_key(0))) == 200
                assert node.status(server.token()) in {401, 503}
        assert server.count() == asked
