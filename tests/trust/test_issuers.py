"""Whose tokens count, and whom a Node ever talks to (design, Trust)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from nmos_auth.errors import ConfigurationError
from tests.support.authority import FakeAuthorizationServer
from tests.support.responders import json_body, redirect
from tests.support.scene import MakeSettings, Node, assert_untouched, foreign_token, protected
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, in_virtual_time

METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


@pytest.fixture
def neighbour(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """Run a server on the host of the trusted one, at another port, with another key."""
    with FakeAuthorizationServer([signing_key(5)]).running(tls) as server:
        yield server


def assert_refused(node: Node, token: str, times: int = 5) -> None:
    """Check that a token is refused, now and when whatever it started is over."""
    node.until(lambda: token, 401)
    assert [node.status(token) for _ in range(times)] == [401] * times


# Members


def test_an_issuer_with_a_path(tls: TestAuthority, make_settings: MakeSettings) -> None:
    """RFC 8414 Section 3.1: `/.well-known/…` comes before the issuer's path."""
    server = FakeAuthorizationServer([signing_key(0)], path="/realms/nmos")
    with server.running(tls), protected(make_settings(server)) as node:
        node.until(server.token)
    assert server.requests == [f"{METADATA}/realms/nmos", "/realms/nmos/jwks"]


def test_a_configured_issuer_may_have_openid_metadata_alone(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """`openid-configuration` is a fallback for those whom the settings name."""
    authority.responders[METADATA] = json_body({}, 404)
    authority.responders[OPENID] = json_body(authority.metadata())
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
    assert authority.requests == [METADATA, OPENID, "/jwks"]


def test_a_configured_issuer_may_have_its_keys_on_another_host(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """What the settings name is trusted to say where its keys are."""
    elsewhere = f"https://127.0.0.1:{authority.port}/jwks"
    authority.responders[METADATA] = json_body(authority.metadata(jwks_uri=elsewhere))
    with protected(make_settings(authority)) as node:
        node.until(authority.token)


def test_a_members_keys_count_for_every_member(
    tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """IS-10: servers "SHOULD each host a copy of each other's public keys"; one may be down."""
    down = FakeAuthorizationServer([signing_key(5)], host="127.0.0.1")
    up = FakeAuthorizationServer([signing_key(0), signing_key(5)])
    with listen() as free:
        down.port = free.getsockname()[1]
    with up.running(tls), protected(make_settings(down, up)) as node:
        node.until(up.token)
        for server in (down, up):
            for number in (0, 5):
                assert node.status(foreign_token(server, signing_key(number))) == 200


def test_trusted_issuers_count_as_servers_do(
    authority: FakeAuthorizationServer, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """TRUSTED_ISSUERS: "whose tokens count and whose keys may be fetched"; 503, then 200."""
    further = FakeAuthorizationServer([signing_key(5)], host="127.0.0.1")
    with further.running(tls):
        settings = make_settings(authority, trusted_issuers=further.issuer)
        with protected(settings) as node:
            node.until(authority.token)
            assert node.status(further.token()) in {200, 503}
            node.until(further.token)
            # Both are members of T, and so are good for each other.
            assert node.status(foreign_token(authority, signing_key(5))) == 200
            assert node.status(foreign_token(further, authority.keys[0])) == 200


def test_keys_of_every_member_count_from_the_start(
    authority: FakeAuthorizationServer, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """A key that only a trusted issuer publishes verifies the servers' tokens, unasked."""
    further = FakeAuthorizationServer([signing_key(5)], host="127.0.0.1")
    with further.running(tls):
        settings = make_settings(authority, trusted_issuers=further.issuer)
        with protected(settings) as node:
            node.until(authority.token)
            node.until(lambda: foreign_token(authority, signing_key(5)), within=3)


@pytest.mark.parametrize("variable", ["servers", "trusted_issuers"])
def test_http_issuers_are_refused_at_the_start(
    variable: str, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """ALLOW_HTTP is off unless development asks for it; the message says which variable."""
    server = FakeAuthorizationServer([signing_key(0)])
    with server.running(None):
        with pytest.raises(ConfigurationError, match=f"NMOS_AUTH_{variable.upper()}"):
            make_settings(**{variable: server.issuer})
        allowed = make_settings(**{variable: server.issuer}, allow_http=True)
        with protected(allowed) as node:
            node.until(server.token)


# Neighbours


def test_a_neighbour_is_fetched_and_then_good(
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """The very host of a member over https, on any port: 503, and then 200."""
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
        first = node.get(neighbour.token())
        assert first.status_code == 503
        assert int(first.headers["retry-after"]) >= 1
        node.until(neighbour.token)
        assert node.status(authority.token()) == 200
    assert neighbour.requests == [METADATA, "/jwks"]


def test_a_neighbours_keys_are_good_for_its_own_tokens_alone(
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """Neither does a member's key verify a neighbour's token."""
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
        node.until(neighbour.token)
        assert_refused(node, foreign_token(authority, signing_key(5)))
        assert_refused(node, foreign_token(neighbour, authority.keys[0]))
        assert node.status(authority.token()) == 200
        assert node.status(neighbour.token()) == 200


def test_a_neighbours_key_set_may_not_be_elsewhere(
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
    listener: socket.socket,
) -> None:
    """Design, Trust: "metadata and jwks on that host"; nobody else hears of it."""
    port = listener.getsockname()[1]
    neighbour.responders[METADATA] = json_body(
        neighbour.metadata(jwks_uri=f"https://127.0.0.1:{port}/jwks")
    )
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
        assert_refused(node, neighbour.token())
    assert_untouched(listener)
    assert neighbour.requests == [METADATA]


@pytest.mark.parametrize("answer", ["another issuer", "not found", "redirect", "http"])
def test_a_neighbour_that_fails_is_remembered(
    answer: str,
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """One question, and 401 from then on; OpenID metadata is not a way around it."""
    neighbour.responders[METADATA] = {
        "another issuer": json_body(neighbour.metadata(issuer=authority.issuer)),
        "not found": json_body({}, 404),
        "redirect": redirect(OPENID),
        "http": json_body(neighbour.metadata(jwks_uri=f"http://localhost:{neighbour.port}/jwks")),
    }[answer]
    neighbour.responders[OPENID] = json_body(neighbour.metadata())
    with protected(make_settings(authority, refetch_interval=0.05)) as node:
        node.until(authority.token)
        assert_refused(node, neighbour.token(), times=50)
        assert node.status(authority.token()) == 200
    assert neighbour.requests == [METADATA]


def test_policy_configured_knows_no_neighbours(
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """ISSUER_POLICY=configured: 401 and no traffic."""
    with protected(make_settings(authority, issuer_policy="configured")) as node:
        node.until(authority.token)
        assert [node.status(neighbour.token()) for _ in range(5)] == [401] * 5
    assert neighbour.requests == []


def test_what_a_stranger_claims_changes_nothing_for_members(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """A thousand made-up issuers on the member's host: few questions, and no good token refused."""
    with protected(make_settings(authority)) as node:
        cached = authority.token()
        node.until(lambda: cached)
        before = authority.count()
        key = signing_key(9)
        for number in range(300):
            token = key.sign(claims_of(f"{authority.issuer}/made-up/{number}"))
            assert node.status(token) in {401, 503}
            if number % 10 == 0:
                assert node.status(cached) == 200
                assert node.status(authority.token()) == 200
        assert authority.count() - before <= 4


PLANTED = [
    "/../../users/mallory/evil.json",
    "/x/../../../users/mallory/evil.json",
    "/%2e%2e/%2e%2e/users/mallory/evil.json",
    "/..;/..;/users/mallory/evil.json",
    "/..%2f..%2fusers/mallory/evil.json",
    "/..\\..\\users/mallory/evil.json",
    "//users/mallory/evil.json",
    "/./.././../users/mallory/evil.json",
    "/users/mallory",
    "?/users/mallory",
    "#/users/mallory",
]


@pytest.mark.parametrize("path", PLANTED)
def test_a_document_placed_on_a_members_host_makes_no_issuer(
    path: str,
    authority: FakeAuthorizationServer,
    neighbour: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """Whoever can publish files there signs no token that is valid: 401, and no traffic.

    RFC 8414 Section 3: metadata has its place under /.well-known/. Another path there is another
    tenant's, for whom the member does not vouch.
    """
    key = signing_key(7)
    for server in (authority, neighbour):
        place, keys = "/users/mallory/evil.json", "/users/mallory/keys.json"
        planted = {"issuer": server.issuer + path, "jwks_uri": server.issuer + keys}
        for answered in (place, METADATA + "/users/mallory"):
            server.responders[answered] = json_body(planted)
        server.responders[keys] = json_body({"keys": [key.jwk()]})
    with protected(make_settings(authority)) as node:
        node.until(authority.token)
        asked = list(authority.requests)
        for server in (authority, neighbour):
            token = key.sign(claims_of(server.issuer + path))
            assert [node.status(token) for _ in range(3)] == [401] * 3
        assert node.status(authority.token()) == 200
        assert authority.requests == asked
        assert neighbour.requests == []


@in_virtual_time
async def test_failures_of_neighbours_are_remembered_a_minute(make_settings: MakeSettings) -> None:
    """Then, and not before, it is asked again; then it may be good."""
    member = FakeAuthorizationServer([signing_key(0)], host="auth.example.com", port=443)
    other = FakeAuthorizationServer([signing_key(5)], host="auth.example.com", port=8443)
    documents = Documents(latency=0.1)
    documents.publish(member)
    resource = Resource.create(documents, make_settings(member))
    resource.keys.start()
    await asyncio.sleep(1)
    assert await resource.answer_after_fetch(other.token()) == 401
    documents.publish(other)
    now = asyncio.get_running_loop().time
    failed_at = now()
    while resource.answer(other.token()) == 401:  # noqa: ASYNC110 - on virtual time
        await asyncio.sleep(0.5)
    assert 59 <= now() - failed_at <= 61
    assert await resource.answer_after_fetch(other.token()) == 200
    assert len(documents.times_of(other)) == 2
    await resource.keys.stop()


@in_virtual_time
async def test_the_number_of_neighbours_is_bounded(make_settings: MakeSettings) -> None:
    """A day of made-up issuers on a member's host: few are held, and few are asked."""
    member = FakeAuthorizationServer([signing_key(0)], host="auth.example.com", port=443)
    documents = Documents(latency=0.1)
    documents.publish(member)
    resource = Resource.create(documents, make_settings(member))
    resource.keys.start()
    await asyncio.sleep(1)
    cached = member.token()
    start = len(documents.asked)
    key = signing_key(9)
    tokens = [key.sign(claims_of(f"https://auth.example.com:{port}")) for port in range(1, 400)]
    for turn in range(6):
        for token in tokens:
            assert resource.answer(token) in {401, 503}
            await asyncio.sleep(0.5)
        assert resource.answer(cached) == 200
        asked = len(documents.asked) - start
        assert asked <= 3 + (turn + 1) * 200 / 10 + 1
    # Room is made again for a neighbour that is good.
    other = FakeAuthorizationServer([signing_key(5)], host="auth.example.com", port=8443)
    documents.publish(other)
    await asyncio.sleep(120)
    assert await resource.answer_after_fetch(other.token()) == 200
    await resource.keys.stop()


@in_virtual_time
async def test_neighbours_with_keys_are_refreshed_and_withdrawn(
    make_settings: MakeSettings,
) -> None:
    """What holds for members holds for them: refreshed hourly, kept when down, withdrawn."""
    member = FakeAuthorizationServer([signing_key(0)], host="auth.example.com", port=443)
    other = FakeAuthorizationServer([signing_key(5)], host="auth.example.com", port=8443)
    documents = Documents()
    documents.publish(member)
    documents.publish(other)
    resource = Resource.create(documents, make_settings(member))
    resource.keys.start()
    await asyncio.sleep(1)
    cached = other.token()
    assert await resource.answer_after_fetch(cached) == 200
    documents.fail(other)
    await asyncio.sleep(5 * HOUR)
    assert resource.answer(cached) == 200
    assert resource.answer(other.token()) == 200
    other.keys[:] = [signing_key(6)]
    documents.publish(other)
    await asyncio.sleep(61)
    assert resource.answer(other.token()) == 200
    assert await resource.answer_after_fetch(cached) == 401
    await resource.keys.stop()
