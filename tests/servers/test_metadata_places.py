"""Where metadata is found: RFC 8414 Section 3.1, and what real servers make of it. Over TLS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from nmos_auth.errors import FetchError, MetadataError
from nmos_auth.servers.answers import Document
from nmos_auth.servers.http import HttpClient
from nmos_auth.servers.server_metadata import fetch_metadata, find_issuer, require_issuer
from nmos_auth.servers.urls import IssuerUrl
from tests.support.authority import FakeAuthorizationServer, Responder
from tests.support.responders import Stall, endless, json_body, plain
from tests.support.servers import listen
from tests.support.tls import TestAuthority

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
HTML = plain(b"<!doctype html><title>App</title>", headers=[(b"content-type", b"text/html")])


@pytest.fixture
async def client(tls: TestAuthority) -> AsyncIterator[HttpClient]:
    """Return a client that trusts the tests' root only."""
    client = HttpClient(tls.client_context(), deadline=2.0)
    yield client
    await client.aclose()


async def fetch(client: HttpClient, issuer: str, *, allow_openid: bool = True) -> dict[str, object]:
    """Fetch the metadata of an issuer and read it as the halves do."""
    place = IssuerUrl.parse(issuer)

    def read(document: Document) -> dict[str, object]:
        require_issuer(document.content, place)
        if "jwks_uri" not in document.content:
            raise MetadataError("no jwks_uri")
        return document.content

    return await fetch_metadata(client.get_document, place, read, allow_openid=allow_openid)


def elsewhere(location: str, status: int = 302) -> Responder:
    """Answer that it is elsewhere."""
    return plain(b"", status, [(b"location", location.encode())])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
async def test_metadata_behind_a_slash(
    status: int, *, absolute: bool, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """One redirect to the very URL with a slash after it is followed, in whatever form."""
    location = f"{OAUTH}/"
    if absolute:
        location = f"https://LOCALHOST:{server.port}{location}"
    server.responders[OAUTH] = elsewhere(location, status)
    server.responders[f"{OAUTH}/"] = json_body(server.metadata())
    for allow_openid in (True, False):
        server.requests.clear()
        assert await fetch(client, server.issuer, allow_openid=allow_openid) == server.metadata()
        assert server.requests == [OAUTH, f"{OAUTH}/"]


UNUSABLE: dict[str, Responder] = {
    "a login page elsewhere": elsewhere("/login?from=/"),
    "the slash of another host": elsewhere("https://127.0.0.1/.well-known/x/"),
    "a slash over http": elsewhere(f"http://localhost{OAUTH}/"),
    "two slashes": elsewhere(f"{OAUTH}//"),
    "a query after the slash": elsewhere(f"{OAUTH}/?x=y"),
    "a redirect to what is not a URL": elsewhere("http://[::"),
    "a redirect to nowhere": plain(b"", 301, []),
    "a page": HTML,
    "an empty object": json_body({}),
    "a list": json_body([]),
    "two bodies": plain(b"{}{}"),
    "without end": endless({}),
    "another issuer's": json_body({"issuer": "https://elsewhere.example.com", "jwks_uri": "x"}),
    **{f"{status}": plain(b"", status) for status in (400, 401, 403, 404, 410, 429, 451)},
    **{f"{status}": plain(b"oops", status) for status in (500, 501, 502, 503)},
}


@pytest.mark.parametrize("name", [*UNUSABLE, "without keys"])
async def test_openid_configuration_where_the_first_place_is_of_no_use(
    name: str, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """Whatever it is that answers there, an OpenID provider's own place is asked, once."""
    server.responders[OAUTH] = UNUSABLE.get(name) or json_body({"issuer": server.issuer})
    server.responders[OPENID] = json_body(server.metadata())
    assert await fetch(client, server.issuer) == server.metadata()
    assert server.requests == [OAUTH, OPENID]


@pytest.mark.parametrize("name", ["a login page elsewhere", "a page", "an empty object", "404"])
async def test_openid_configuration_only_where_it_is_allowed(
    name: str, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """A neighbour, or a server that is only advertised, is asked for RFC 8414 metadata only."""
    server.responders |= {OAUTH: UNUSABLE[name], OPENID: json_body(server.metadata())}
    with pytest.raises((FetchError, MetadataError)):
        await fetch(client, server.issuer, allow_openid=False)
    assert server.requests == [OAUTH]


async def test_openid_configuration_is_held_to_the_issuer(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """RFC 8414 Section 3.3: identical, there as well."""
    server.responders[OAUTH] = HTML
    server.responders[OPENID] = json_body(server.metadata(issuer=f"{server.issuer}/"))
    with pytest.raises(MetadataError, match="another issuer"):
        await fetch(client, server.issuer)


async def test_a_slash_leads_no_further(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """What the URL with the slash points to is not followed."""
    server.responders[OAUTH] = elsewhere(f"{OAUTH}/")
    server.responders[f"{OAUTH}/"] = elsewhere(OAUTH)
    with pytest.raises(FetchError):
        await fetch(client, server.issuer, allow_openid=False)
    assert server.requests == [OAUTH, f"{OAUTH}/"]


async def test_a_server_that_gives_no_answer_is_not_asked_twice(
    tls: TestAuthority, server: FakeAuthorizationServer
) -> None:
    """Whether it accepts the connection or not: the second place would only cost time."""
    client = HttpClient(tls.client_context(), deadline=0.3)
    server.responders |= {OAUTH: Stall(), OPENID: json_body(server.metadata())}
    with pytest.raises(FetchError, match="longer than"):
        await fetch(client, server.issuer)
    assert server.requests == [OAUTH]
    with listen() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError) as caught:
        await fetch(client, f"https://localhost:{port}")
    assert OAUTH in str(caught.value)
    await client.aclose()


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (404, 404, 404),
        (404, 503, 503),
        (503, 404, 503),
        (302, 404, 302),
        (404, 429, 429),
    ],
)
async def test_the_error_is_the_one_that_may_pass(
    first: int, second: int, status: int, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """A server that says "later" at either place is not taken for one without metadata."""
    server.responders |= {OAUTH: plain(b"", first, []), OPENID: plain(b"", second, [])}
    with pytest.raises(FetchError) as caught:
        await fetch(client, server.issuer)
    assert caught.value.status == status


# Whose metadata is at a URL that DNS-SD or a setting names

REALM = "/auth/realms/master"
REALM_OPENID = f"{REALM}/.well-known/openid-configuration"


async def find(client: HttpClient, server: FakeAuthorizationServer) -> str:
    """Find the issuer at the root of a server."""
    found = await find_issuer(client.get_document, f"{server.issuer}{OAUTH}", allow_http=False)
    return found.text


async def test_the_issuer_whose_place_it_is(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """It is confirmed by the document itself, and nothing else is asked."""
    assert await find(client, server) == server.issuer
    assert server.requests == [OAUTH]


async def test_an_issuer_of_the_same_origin(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """INFO-002 puts a Keycloak realm's metadata at the root; the realm's own confirms it."""
    realm = server.metadata(issuer=f"{server.issuer}{REALM}")
    server.responders |= {OAUTH: json_body(realm), REALM_OPENID: json_body(realm)}
    assert await find(client, server) == f"{server.issuer}{REALM}"
    assert server.requests == [OAUTH, f"{OAUTH}{REALM}", REALM_OPENID]


async def test_an_issuer_of_the_same_origin_that_denies_it(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """A file at the root makes nobody an issuer: its own metadata has the last word."""
    realm = server.metadata(issuer=f"{server.issuer}{REALM}")
    server.responders[OAUTH] = json_body(realm)
    with pytest.raises((FetchError, MetadataError)):
        await find(client, server)
    server.responders[REALM_OPENID] = json_body(server.metadata())
    with pytest.raises((FetchError, MetadataError)):
        await find(client, server)


@pytest.mark.parametrize(
    "named",
    [
        "https://localhost",
        "https://127.0.0.1:PORT",
        "http://localhost:PORT/realm",
        "https://localhost:PORT/a/../b",
        "https://user@localhost:PORT/realm",
        "",
        None,
        7,
        ["https://localhost:PORT/realm"],
    ],
)
async def test_an_issuer_of_another_origin(
    named: object, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """Scheme, host and port are the same, or it is the metadata of somebody else."""
    issuer = json.loads(json.dumps(named).replace("PORT", str(server.port)))
    server.responders[OAUTH] = json_body({**server.metadata(), "issuer": issuer})
    with pytest.raises(MetadataError, match="another issuer"):
        await find(client, server)
    assert server.requests == [OAUTH]
