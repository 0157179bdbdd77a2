"""What is said of Authorization Servers that are right, wrong, or not there."""

from __future__ import annotations

import time

import pytest
import trustme

from nmos_auth.client import ClientSettings
from nmos_auth.operate.findings import Level, worst
from nmos_auth.operate.server_checks import check_server
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.urls import IssuerUrl
from tests.support.authority import FakeAuthorizationServer
from tests.support.responders import json_body
from tests.support.servers import free_port, listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key

METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


@pytest.fixture
def server(authority: FakeAuthorizationServer) -> FakeAuthorizationServer:
    """Return an honest Authorization Server over TLS."""
    return authority


async def told(
    server: FakeAuthorizationServer,
    tls: TestAuthority,
    *,
    clock_off: float = 0,
    client: ClientSettings | None = None,
) -> tuple[Level, str]:
    """Return the worst level, and all texts and cures."""
    findings = await check_server(
        IssuerUrl.parse(server.issuer, allow_http=True),
        access=ServerAccess(tls.client_context()),
        ca_file=tls.ca_file,
        clock=lambda: time.time() + clock_off,
        client=client,
    )
    return worst(findings), "\n".join(f"{each.text}\n{each.cure}" for each in findings)


async def test_a_server_that_is_right(server: FakeAuthorizationServer, tls: TestAuthority) -> None:
    """Certificate, metadata, keys and clock are all told to be well."""
    level, text = await told(server, tls)
    assert level is Level.OK
    assert "is valid until" in text
    assert "its metadata is found, and names it" in text
    assert f"keys that verify access tokens: {server.keys[0].kid or 'number 1'}" in text
    assert "clock and this host's agree" in text


async def test_openid_metadata_is_found(
    server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """Where the first place has none, the second is looked at, as a Node does."""
    server.responders[METADATA] = json_body({}, 404)
    server.responders[OPENID] = json_body(server.metadata())
    level, text = await told(server, tls)
    assert level is Level.OK
    assert server.requests[:2] == [METADATA, OPENID]
    assert "its metadata is found" in text


async def test_no_server(tls: TestAuthority) -> None:
    """Nobody listens: the cure speaks of name and port."""
    server = FakeAuthorizationServer([], port=free_port())
    level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert "no connection" in text
    assert "name and port" in text


async def test_no_tls(tls: TestAuthority) -> None:
    """Plain http behind an https URL is named as that."""
    with FakeAuthorizationServer([signing_key(0)]).running() as server:
        server.scheme = "https"
        level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert "does not speak TLS" in text


async def test_an_unknown_certificate_authority(tls: TestAuthority) -> None:
    """The signer is named, with the setting that takes its root."""
    stranger = trustme.CA(organization_name="Plant Root", key_type=trustme.KeyType.ECDSA)
    other = TestAuthority(stranger, tls.directory)
    context = other.server_context("localhost")
    with FakeAuthorizationServer([signing_key(0)]).running(other, context=context) as server:
        level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert "Plant Root" in text
    assert "NMOS_AUTH_CA_FILE" in text


@pytest.mark.parametrize(
    ("jwk", "words"),
    [
        ({"alg": "RS256"}, "is meant for 'RS256'"),
        ({"use": "enc"}, "not for signatures"),
        ({"kty": "EC"}, "is not an RSA key"),
    ],
)
async def test_keys_that_cannot_verify(
    jwk: dict[str, object], words: str, server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """Each key that is passed over is named with the reason, and IS-10's algorithm is."""
    server.responders["/jwks"] = json_body({"keys": [server.keys[0].jwk(**jwk)]})
    level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert words in text
    assert "RS512" in text


async def test_metadata_of_another_issuer(
    server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """The cure is the setting, with the value that the server itself names."""
    realm = f"{server.issuer}/realms/nmos"
    server.responders[METADATA] = json_body(server.metadata(issuer=realm))
    level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert f"NMOS_AUTH_SERVERS={realm}" in text


@pytest.mark.parametrize(("status", "body"), [(404, {}), (500, {}), (200, [])])
async def test_no_metadata(
    status: int, body: object, server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """The place where it must be is named."""
    server.responders[METADATA] = json_body(body, status)
    level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert f"the server must answer at {server.issuer}{METADATA}" in text


@pytest.mark.parametrize(
    ("off", "level", "words"),
    [
        (0, Level.OK, "agree"),
        (10, Level.WARNING, "ahead of"),
        (-10, Level.WARNING, "behind"),
        (-3600, Level.FAILURE, "behind"),
    ],
)
async def test_clocks_that_differ(
    off: float, level: Level, words: str, server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """By how much, in which direction, and what that does to tokens."""
    found, text = await told(server, tls, clock_off=off)
    assert found is level
    assert words in text


async def test_a_server_that_hangs(tls: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that never answers ends the check, in words."""
    monkeypatch.setattr("nmos_auth.operate.certificates._DEADLINE", 0.2)
    with listen() as silent:
        server = FakeAuthorizationServer([], port=silent.getsockname()[1])
        level, text = await told(server, tls)
    assert level is Level.FAILURE
    assert "no connection" in text


@pytest.mark.parametrize(
    ("metadata", "level", "words"),
    [
        ({}, Level.FAILURE, "does not register clients"),
        (
            {"registration_endpoint": "https://localhost/register"},
            Level.WARNING,
            "does not say that it offers client_credentials",
        ),
        (
            {
                "registration_endpoint": "https://localhost/register",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            },
            Level.OK,
            "it offers what this host's client needs",
        ),
    ],
)
async def test_what_a_client_needs_of_a_server(
    metadata: dict[str, object],
    level: Level,
    words: str,
    server: FakeAuthorizationServer,
    tls: TestAuthority,
) -> None:
    """Registration, grant and authentication method, where this host has a client."""
    server.responders[METADATA] = json_body(server.metadata(**metadata))
    client = ClientSettings(name="Example Camera 0001", jwks_uri="https://node1.example.com/jwks")
    found, text = await told(server, tls, client=client)
    assert found is level
    assert words in text
