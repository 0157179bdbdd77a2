"""Whose keys are valid, and who vouches for whom; metadata that names another; what is told."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

import pytest

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Document
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.issuers import Source
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keys_file import KeysFile
from nmos_auth.trust.membership import Membership
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, a_server, in_virtual_time
from tests.trust.test_many_keys import keys_of, numbers

HOST = "https://auth.example.com"


def place(issuer: str) -> str:
    """Return where the metadata of an issuer is."""
    return IssuerUrl.parse(issuer).metadata_url


def members(make_settings: MakeSettings, *servers: str, **changes: object) -> Membership:
    """Return a membership of configured issuers."""
    static = {"https://static.example.com": parse_jwks({"keys": [signing_key(2).jwk()]}).keys}
    return Membership(make_settings(servers=servers, **changes), static, random.uniform, now=0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{HOST}:8443/nmos", True),
        (f"{HOST}:8443/nmos/", True),
        (f"{HOST}/nmos/", True),
        ("https://AUTH.example.com:1/nmos", True),
        (f"{HOST}:8443", False),
        (f"{HOST}:8443/", False),
        (f"{HOST}/other", False),
        (f"{HOST}:8443/nmos/nmos", False),
        (f"{HOST}:8443/NMOS", False),
        ("http://auth.example.com:8443/nmos", False),
        ("https://auth.example.com.:8443/nmos", False),
        ("https://other.example.com/nmos", False),
        (f"{HOST}:8443/../nmos", False),
        ("", False),
    ],
)
def test_who_is_a_neighbour(make_settings: MakeSettings, url: str, *, expected: bool) -> None:
    """Same host, same path, https; any port, and a slash at the end or none."""
    held = members(make_settings, f"{HOST}/nmos", "http://auth.example.com/x", allow_http=True)
    assert held.is_neighbour(url) is expected
    assert not members(make_settings, f"{HOST}/nmos", issuer_policy="configured").is_neighbour(url)


def test_why_an_issuer_is_trusted_is_told_in_a_word() -> None:
    """Which commands and dashboards show."""
    assert [str(each) for each in Source] == [
        "servers",
        "trusted issuers",
        "static keys",
        "discovery",
        "metadata",
        "same host",
    ]


def test_http_members_have_no_neighbours(make_settings: MakeSettings) -> None:
    """Nothing vouches for what is on their host."""
    held = members(make_settings, "http://auth.example.com", allow_http=True)
    assert not held.is_neighbour("https://auth.example.com:8443")


def test_where_each_may_have_its_documents(make_settings: MakeSettings) -> None:
    """Those that settings or metadata name at either place; the others where RFC 8414 says."""
    held = members(make_settings, HOST, allow_http=True)
    openid = {source: held.new(HOST, source).rules.allow_openid for source in Source}
    assert openid == {
        Source.SERVERS: True,
        Source.TRUSTED_ISSUERS: True,
        Source.STATIC_KEYS: True,
        Source.METADATA: True,
        Source.DISCOVERY: False,
        Source.SAME_HOST: False,
    }
    rules = held.new(HOST, Source.SAME_HOST).rules
    assert rules.own_host_only
    assert not rules.allow_http
    assert not held.new(HOST, Source.SERVERS).rules.own_host_only
    assert held.new(HOST, Source.SERVERS).rules.allow_http
    assert not members(make_settings, HOST).new(HOST, Source.SERVERS).rules.allow_http


def test_who_comes_and_goes(make_settings: MakeSettings) -> None:
    """Those whom the settings name stay; a neighbour goes with the member it is next to."""
    held = members(make_settings, "https://a.example.com")
    b, c = "https://b.example.com", "https://c.example.com"
    come, gone = held.advertise({each: place(each) for each in (b, "https://a.example.com")})
    assert [each.url.text for each in come] == [b]
    assert gone == []
    neighbour = held.new(f"{b}:8443", Source.SAME_HOST)
    assert held.is_neighbour(neighbour.url.text)
    held.admit(neighbour)
    assert held.holds(neighbour)
    come, gone = held.advertise({c: place(c)})
    assert [each.url.text for each in come] == [c]
    assert {each.url.text for each in gone} == {b, f"{b}:8443"}
    assert {each.url.text for each in held} == {
        "https://a.example.com",
        "https://static.example.com",
        c,
    }
    assert held.get("https://a.example.com") is not None
    assert held.get("https://static.example.com") is not None


def test_a_neighbour_that_is_advertised_keeps_its_keys(make_settings: MakeSettings) -> None:
    """It becomes a member, with another schedule."""
    held = members(make_settings, "https://a.example.com")
    neighbour = held.new("https://a.example.com:8443", Source.SAME_HOST)
    neighbour.hold(parse_jwks({"keys": [signing_key(5).jwk()]}).keys, 0)
    neighbour.last_fetch = LastFetch(1, 0, None)
    held.admit(neighbour)
    come, gone = held.advertise({neighbour.url.text: neighbour.url.metadata_url})
    assert gone == [neighbour]
    assert come[0].keys == neighbour.keys
    assert come[0].has_had_keys
    assert come[0].last_fetch is neighbour.last_fetch
    assert come[0].is_member
    assert held.get(neighbour.url.text) is come[0]


def test_who_vouches_for_whom(make_settings: MakeSettings) -> None:
    """Members for each other; a neighbour for itself only, and one that was named not even that."""
    other, named, static = "https://b.example.com", f"{HOST}/realm", "https://static.example.com"
    held = members(make_settings, HOST, other)
    held.admit(held.new(f"{HOST}:8443", Source.SAME_HOST))
    assert held.name(HOST, named) == ([held.get(named)], [])
    assert held.name(HOST, named) == ([], [])
    issuers = {each.url.text: each for each in held}
    for number, url in ((0, HOST), (1, other), (5, f"{HOST}:8443")):
        issuers[url].hold(keys_of(signing_key(number).jwk()), 0)
    held.draw()
    assert {url: [key.kid for key in each.pool] for url, each in issuers.items()} == {
        HOST: ["key-0", "key-1", "key-2"],
        other: ["key-1", "key-0", "key-2"],
        static: ["key-2", "key-0", "key-1"],
        f"{HOST}:8443": ["key-5"],
        named: [],
    }
    copies = {url: [each.url.text for each in held.others(it)] for url, it in issuers.items()}
    assert copies == {
        HOST: [other],
        other: [HOST],
        static: [HOST, other],
        f"{HOST}:8443": [],
        named: [],
    }
    assert (held.names(named), held.names(other)) == ([HOST], [])


def test_more_keys_than_are_tried_at_once_are_warned_of(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, and then each time that there come to be so many."""
    keys, url = keys_of(*numbers(8192, 5)), "https://static.example.com"
    held = Membership(make_settings(servers=[HOST]), {url: keys}, random.uniform, now=0)
    held.admit(held.new(f"{HOST}:8443", Source.SAME_HOST))
    issuer, told = held.get(url), [1]
    assert issuer is not None
    for some in (keys, keys[:4], keys):
        issuer.hold(some, 1)
        held.draw()
        told.append(sum("5 keys are trusted" in each for each in caplog.messages))
    assert told == [1, 1, 1, 2]


# At work


async def started(
    make_settings: MakeSettings,
    documents: Documents,
    server: FakeAuthorizationServer,
    **changes: object,
) -> Resource:
    """Return a resource server that trusts this server, a second after its start."""
    resource = Resource.create(documents, make_settings(server, **changes))
    resource.keys.start()
    await asyncio.sleep(1)
    return resource


REALM = f"{HOST}:443/auth/realms/master"
PLACES = [
    f"{HOST}:443/.well-known/oauth-authorization-server/auth/realms/master",
    f"{REALM}/.well-known/openid-configuration",
]


@pytest.mark.parametrize("place", PLACES)
def test_metadata_of_servers_may_name_another_issuer_of_the_same_origin(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """A proxy in front of Keycloak has such (AMWA INFO-002): trusted once its own confirms it."""
    caplog.set_level(logging.WARNING, "nmos_auth")

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(0), Documents()
        named = server.metadata(issuer=REALM)
        documents.publish(server, issuer=REALM)
        resource = await started(make_settings, documents, server)
        token = signing_key(0).sign(claims_of(REALM))
        assert resource.answer(token) == 503
        await asyncio.sleep(120)
        assert resource.answer(token) == 503
        documents.by_url[place] = named
        await asyncio.sleep(61)
        assert resource.answer(token) == 200
        assert {each.url: each.source for each in resource.keys.status().issuers} == {
            server.issuer: Source.SERVERS,
            REALM: Source.METADATA,
        }
        assert await resource.answer_after_fetch(server.token(iat=1)) == 200
        documents.fail(server)
        await asyncio.sleep(5 * HOUR)
        assert resource.answer(token) == 200
        documents.publish(server)
        await asyncio.sleep(2 * HOUR)
        assert resource.answer(token) == 401
        assert resource.answer(server.token()) == 200
        await resource.keys.stop()

    play()
    assert f"NMOS_AUTH_SERVERS: the metadata of {HOST}:443 names {REALM}" in caplog.text


@in_virtual_time
async def test_whom_a_server_names_is_not_refused_before_it_is_read(
    make_settings: MakeSettings,
) -> None:
    """503 while the server has not answered; then the issuer it names is good, and others 401."""
    server, documents = a_server(0), Documents()
    documents.fail(server)
    resource = await started(make_settings, documents, server)
    token, other = (
        signing_key(0).sign(claims_of(issuer))
        for issuer in (REALM, f"{HOST}:443/auth/realms/other")
    )
    elsewhere = signing_key(0).sign(claims_of("https://c.example.com/auth/realms/master"))
    for _ in range(3):
        assert resource.answer(token) == resource.answer(other) == 503
        assert resource.answer(elsewhere) == 401
        await asyncio.sleep(60)
    documents.publish(server, issuer=REALM)
    documents.by_url[PLACES[0]] = server.metadata(issuer=REALM)
    await asyncio.sleep(125)
    assert resource.answer(token) == 200
    assert resource.answer(other) == 401
    assert {url.partition("/.well-known")[0] for _, url in documents.asked} <= {
        f"{HOST}:443",
        REALM,
        f"{HOST}:443/jwks",
    }
    await resource.keys.stop()


def test_whom_a_server_named_is_trusted_over_a_restart(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """While no server answers; then what the server says is so, and until then nothing is final."""
    settings = make_settings(a_server(0), keys_file=tmp_path / "keys")
    other = f"{HOST}:443/auth/realms/other"
    token, of_other, of_nobody = (
        signing_key(number).sign(claims_of(issuer))
        for number, issuer in ((0, REALM), (1, other), (0, "https://c.example.com"))
    )

    @in_virtual_time
    async def first() -> None:
        server, documents = a_server(0), Documents()
        documents.publish(server, issuer=REALM)
        documents.by_url[PLACES[0]] = server.metadata(issuer=REALM)
        resource = await started(make_settings, documents, server, keys_file=settings.keys_file)
        assert resource.answer(token) == 200
        assert resource.answer(of_other) == 401
        await resource.keys.stop()

    @in_virtual_time
    async def in_an_outage() -> None:
        server, documents = a_server(0), Documents()
        documents.fail(server)
        documents.by_url[PLACES[0]] = FetchError("503", status=503)
        resource = Resource.create(documents, settings)
        assert resource.answer(token) == 200
        resource.keys.start()
        await asyncio.sleep(30 * HOUR)
        assert resource.answer(token) == 200
        assert resource.answer(of_other) == 503
        assert resource.answer(of_nobody) == 401
        await resource.keys.stop()

    @in_virtual_time
    async def when_another_is_named() -> None:
        server, documents = a_server(1), Documents()
        documents.publish(server, issuer=other)
        documents.by_url[place(other)] = server.metadata(issuer=other)
        resource = Resource.create(documents, settings)
        assert resource.answer(token) == 200
        resource.keys.start()
        await asyncio.sleep(1)
        assert resource.answer(token) == 401
        assert resource.answer(of_other) == 200
        await resource.keys.stop()

    first()
    in_an_outage()
    in_an_outage()
    when_another_is_named()
    assert set(KeysFile(tmp_path / "keys").load()) == {other}


@pytest.mark.parametrize("met", [False, True], ids=["named first", "a neighbour first"])
def test_a_slash_that_the_setting_leaves_out(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, *, met: bool
) -> None:
    """Auth0's issuers end with one: their tokens are good, and the log names the URL, once.

    That is so too where a token came first, and the issuer was asked as a neighbour.
    """

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(0), Documents()
        slashed = f"{server.issuer}/"
        if met:
            documents.fail(server)
        else:
            documents.publish(server, issuer=slashed)
        resource = Resource.create(documents, make_settings(server))
        resource.keys.start()
        token = signing_key(0).sign(claims_of(slashed))
        await asyncio.sleep(0.1)
        if met:
            documents.publish(server, issuer=slashed)
            assert resource.answer(token) == 503
            await asyncio.sleep(0.1)
            assert resource.answer(token) == 200
        await asyncio.sleep(60)
        assert resource.answer(token) == 200
        assert resource.answer(server.token()) == 200
        await resource.keys.stop()

    play()
    named = [each.getMessage() for each in caplog.records if " names " in each.getMessage()]
    told = [each for each in named if each.startswith("NMOS_AUTH_SERVERS: ")]
    assert len(told) == 1
    assert f"the metadata of {HOST}:443 names {HOST}:443/, which is trusted" in told[0]


@in_virtual_time
async def test_who_is_named_and_not_confirmed_is_no_member(make_settings: MakeSettings) -> None:
    """Its tokens are not good by other members' keys, nor is anybody its neighbour."""
    server, other, documents = a_server(0), a_server(1, host="b.example.com"), Documents()
    documents.publish(server, issuer=REALM)
    documents.publish(other)
    resource = Resource.create(documents, make_settings(server, other))
    resource.keys.start()
    await asyncio.sleep(1)
    assert resource.answer(signing_key(1).sign(claims_of(REALM))) == 503
    elsewhere = f"{HOST}:8443/auth/realms/master"
    assert resource.answer(signing_key(1).sign(claims_of(elsewhere))) == 401
    await resource.keys.stop()


def test_why_keys_cannot_be_used_is_told_once(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A realm that signs with RS256 is told so in words, at a level that everybody sees."""
    caplog.set_level(logging.INFO, "nmos_auth")

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(0), Documents()
        documents.publish(server)
        keys = [signing_key(0).jwk(alg="RS256"), signing_key(1).jwk(use="enc", alg="RSA-OAEP")]
        documents.by_url[f"{server.issuer}/jwks"] = {"keys": keys}
        resource = await started(make_settings, documents, server)
        await asyncio.sleep(HOUR)
        assert resource.answer(server.token()) == 503
        documents.by_url[f"{server.issuer}/jwks"] = {"keys": [*keys, signing_key(2).jwk()]}
        await asyncio.sleep(5 * HOUR)
        await resource.keys.stop()

    play()
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    (told,) = [each for each in warnings if "RS256" in each]
    assert "key 'key-0' is meant for 'RS256'; access tokens are signed with RS512" in told
    assert "key 'key-1' is meant for use 'enc'" in told
    assert sum("no key of its set can verify access tokens" in each for each in warnings) == 1


def test_each_kind_of_failure_is_told_once(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning for what is new, however often it fails; and a word when it is over."""
    caplog.set_level(logging.INFO, "nmos_auth")

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(0), Documents()
        documents.fail(server)
        resource = await started(make_settings, documents, server)
        await asyncio.sleep(HOUR)
        place = f"{server.issuer}/.well-known/oauth-authorization-server"
        documents.by_url[place] = FetchError("the name is unknown")
        await asyncio.sleep(HOUR)
        documents.publish(server)
        await asyncio.sleep(HOUR)
        await resource.keys.stop()

    play()
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(told) == 2
    assert "503" in told[0]
    assert "the name is unknown" in told[1]
    assert any("can be fetched again" in each.getMessage() for each in caplog.records)


@in_virtual_time
async def test_the_status_says_what_operators_ask(make_settings: MakeSettings) -> None:
    """Issuers with source, keys with kid and age, the next fetch, the last error, the clocks."""
    server, down, documents = a_server(0, 1), a_server(2, host="b.example.com"), Documents()
    documents.publish(server)
    documents.fail(down)
    documents.by_url[f"{server.issuer}/jwks"] = Document(server.jwks(), date=1_000_007.0)
    settings = make_settings(server, trusted_issuers=down.issuer)
    static = a_server(3, host="c.example.com")
    resource = Resource.create(documents, settings, static=[static], clock=lambda: 1_000_000.0)
    assert not resource.keys.status().issuers[1].keys
    resource.keys.start()
    await asyncio.sleep(100)
    status = resource.keys.status()
    by_url = {each.url: each for each in status.issuers}
    good, bad, fixed = by_url[server.issuer], by_url[down.issuer], by_url[static.issuer]
    assert [(key.kid, key.bits) for key in good.keys] == [("key-0", 2048), ("key-1", 2048)]
    assert [key.age for key in good.keys] == pytest.approx([100, 100], abs=0.1)
    assert (good.source, good.error, good.failures) == (Source.SERVERS, None, 0)
    assert good.clock_offset == 7
    assert good.since_fetch == pytest.approx(100, abs=0.1)
    assert good.next_fetch is not None
    assert HOUR - 101 < good.next_fetch < HOUR
    assert (bad.source, bad.error, bad.keys) == (Source.TRUSTED_ISSUERS, "503", ())
    assert bad.failures > 2
    assert bad.next_fetch is not None
    assert bad.next_fetch < 60
    assert bad.clock_offset is None
    assert bad.since_fetch is None
    assert (fixed.source, fixed.next_fetch) == (Source.STATIC_KEYS, None)
    assert [key.kid for key in fixed.keys] == ["key-3"]
    assert status.is_settled
    assert status.has_keys
    await resource.keys.stop()
