"""Whose tokens count while servers are discovered: in virtual time, with DNS told by the test."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from nmos_auth import ConfigurationError, NmosAuthMiddleware, Settings
from nmos_auth.servers.backoff import Uniform
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile
from nmos_auth.trust.verifier import Verifier
from tests.support.announcements import Announcements, advertisement
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, in_virtual_time
from tests.support.virtual_time import a_server as a_server_at


@dataclass
class Advertised(Resource):
    """A resource server whose servers are advertised by a test."""

    announcements: Announcements

    def status(self, server: FakeAuthorizationServer) -> int:
        """Return the status with which a good token of a server is answered."""
        return self.answer(server.token())

    def says(self, *servers: FakeAuthorizationServer, domain: str = "example.com") -> None:
        """Advertise these servers, and no others."""
        self.announcements.say(*(advertisement(each, domain=domain) for each in servers))

    def urls(self) -> list[str]:
        """Return what was asked for so far."""
        return [url for _, url in self.documents.asked]

    def forget_urls(self) -> None:
        """Count what is asked for from here."""
        self.documents.asked.clear()


def a_server(
    *keys: int, host: str = "auth.example.com", port: int = 8443, path: str = ""
) -> FakeAuthorizationServer:
    """Return an Authorization Server that does not run, on a port that URLs have to name."""
    return a_server_at(*keys, host=host, port=port, path=path)


async def a_scene(
    settings: Settings,
    *published: FakeAuthorizationServer,
    sources: int = 1,
    start: bool = True,
    uniform: Uniform = random.uniform,
) -> Advertised:
    """Set a scene, in which DNS has said nothing yet, on the loop that is running."""
    documents, announcements = Documents(), Announcements()
    for each in published:
        documents.publish(each)
    keys = KeyStore(
        settings,
        lambda: documents,
        kept=None if settings.keys_file is None else KeysFile(settings.keys_file),
        sources=[announcements] * sources,
        monotonic=asyncio.get_running_loop().time,
        uniform=uniform,
    )
    if start:
        keys.start()
        await asyncio.sleep(0)
    verifier = Verifier(keys, settings.audience, settings.leeway)
    return Advertised(documents, keys, verifier, announcements)


async def a_while() -> None:
    """Let everything happen that takes no time."""
    await asyncio.sleep(0.1)


# Confirming


@in_virtual_time
async def test_an_advertised_server_counts(make_settings: MakeSettings) -> None:
    """Once its metadata names the issuer whose metadata has its place there."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    await a_while()
    scene.says(server)
    await a_while()
    assert scene.status(server) == 200
    metadata, jwks = f"{server.issuer}{server.metadata_path}", f"{server.issuer}/jwks"
    assert scene.urls() == [metadata, metadata, jwks]
    await scene.keys.stop()


@in_virtual_time
async def test_one_that_is_not_confirmed_is_asked_less_and_less(
    make_settings: MakeSettings,
) -> None:
    """After a second, two, four and so on, and after a minute at most."""
    scene = await a_scene(make_settings(), uniform=max)
    scene.says(a_server())
    await asyncio.sleep(200)
    times = [when for when, _ in scene.documents.asked]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=0.1)
    await scene.keys.stop()


@in_virtual_time
async def test_its_keys_are_never_looked_for_by_openid_metadata(
    make_settings: MakeSettings,
) -> None:
    """Contract: that is for issuers that settings, or metadata in its place, name."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    scene.says(server)
    await a_while()
    scene.documents.fail(server)
    await asyncio.sleep(HOUR + 61)
    assert scene.status(server) == 200
    assert not any("openid-configuration" in url for url in scene.urls())
    await scene.keys.stop()


@in_virtual_time
async def test_its_keys_are_refreshed_as_those_of_servers(make_settings: MakeSettings) -> None:
    """Every hour, and withdrawn with the key they were."""
    server = a_server(0)
    scene = await a_scene(make_settings(), server)
    scene.says(server)
    await a_while()
    old = server.token()
    assert scene.answer(old) == 200
    server.keys[:] = [signing_key(1)]
    scene.documents.publish(server)
    await asyncio.sleep(HOUR + 61)
    assert scene.status(server) == 200
    assert scene.answer(old) in {401, 503}
    await scene.keys.stop()


@pytest.mark.parametrize(
    ("port", "selector", "issuer"),
    [
        (443, "", "https://auth.example.com"),
        (443, "", "https://auth.example.com/"),
        (443, "", "https://auth.example.com:443"),
        (443, "", "https://AUTH.example.com"),
        (8443, "", "https://auth.example.com:8443"),
        (443, "x-nmos/auth/v1.0", "https://auth.example.com/x-nmos/auth/v1.0"),
        (443, "x-nmos/auth/v1.0", "https://auth.example.com/x-nmos/auth/v1.0/"),
        (8443, "a", "https://auth.example.com:8443/a"),
    ],
)
def test_issuers_that_are_confirmed(
    make_settings: MakeSettings, port: int, selector: str, issuer: str
) -> None:
    """RFC 8414 Section 3.1 leads from the issuer to the advertised URL, default ports aside."""

    @in_virtual_time
    async def play() -> None:
        scene = await a_scene(make_settings())
        advertised = replace(advertisement(a_server(port=port)), api_selector=selector)
        place = issuer.removesuffix("/").removesuffix(selector).removesuffix("/")
        path = f"/{selector}" if selector else ""
        metadata: dict[str, object] = {"issuer": issuer, "jwks_uri": "https://auth.example.com/j"}
        scene.documents.by_url = {
            advertised.metadata_url: metadata,
            f"{place}/.well-known/oauth-authorization-server{path}": metadata,
            "https://auth.example.com/j": a_server().jwks(),
        }
        scene.announcements.say(advertised)
        await a_while()
        assert scene.answer(signing_key(0).sign(claims_of(issuer))) == 200
        await scene.keys.stop()

    play()


@pytest.mark.parametrize(
    "issuer",
    [
        "https://other.example.com:8443",
        "https://auth.example.com",
        "https://auth.example.com:8444",
        "http://auth.example.com:8443",
        "https://auth.example.com:8443?a",
        "https://auth.example.com:8443#a",
        "https://user@auth.example.com:8443",
        "https://[::1",
        "auth.example.com:8443",
        "",
        None,
        7,
        ["https://auth.example.com:8443"],
    ],
)
def test_issuers_that_are_not_confirmed(make_settings: MakeSettings, issuer: object) -> None:
    """Whose metadata belongs elsewhere may not have put it there: no keys of that are fetched."""

    @in_virtual_time
    async def play() -> None:
        server = a_server()
        scene = await a_scene(make_settings(issuer_policy="configured"))
        scene.documents.publish(server, issuer=issuer)
        scene.says(server)
        await asyncio.sleep(HOUR)
        assert set(scene.urls()) == {f"{server.issuer}{server.metadata_path}"}
        assert scene.status(server) == 503
        if isinstance(issuer, str):
            assert scene.answer(signing_key(0).sign(claims_of(issuer))) == 401
        await scene.keys.stop()

    play()


REALM = "https://auth.example.com:8443/auth/realms/master"
OF_REALM = "https://auth.example.com:8443/.well-known/oauth-authorization-server/auth/realms/master"


@pytest.mark.parametrize("place", [OF_REALM, f"{REALM}/.well-known/openid-configuration"])
def test_metadata_may_name_another_issuer_of_the_same_origin(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """A proxy in front of Keycloak has such (AMWA INFO-002): trusted once its own confirms it."""
    caplog.set_level("WARNING", "nmos_auth")

    @in_virtual_time
    async def play() -> None:
        server = a_server()
        scene = await a_scene(make_settings(issuer_policy="configured"))
        named = server.metadata(issuer=REALM)
        scene.documents.by_url[f"{server.issuer}{server.metadata_path}"] = named
        scene.documents.by_url[f"{server.issuer}/jwks"] = server.jwks()
        token = signing_key(0).sign(claims_of(REALM))
        scene.says(server)
        await asyncio.sleep(60)
        assert scene.answer(token) == 503
        assert scene.status(server) == 503
        scene.documents.by_url[place] = named
        await asyncio.sleep(61)
        assert scene.answer(token) == 200
        assert scene.status(server) == 401
        scene.says()
        assert scene.answer(token) == 401
        await scene.keys.stop()

    play()
    assert f"{REALM}, which is trusted; advertise that one" in caplog.text


@in_virtual_time
async def test_openid_metadata_does_not_confirm(make_settings: MakeSettings) -> None:
    """IS-10 "Discovery": the suffix "oauth-authorization-server" MUST be used."""
    server = a_server()
    scene = await a_scene(make_settings())
    scene.documents.by_url[f"{server.issuer}/.well-known/openid-configuration"] = server.metadata()
    scene.documents.by_url[f"{server.issuer}/jwks"] = server.jwks()
    scene.says(server)
    await asyncio.sleep(HOUR)
    assert set(scene.urls()) == {f"{server.issuer}{server.metadata_path}"}
    await scene.keys.stop()


def test_http_counts_only_where_it_is_allowed(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """IS-10: "In production environments this MUST be set to https"; no other is asked anything."""
    server = a_server()
    server.scheme = "http"

    @in_virtual_time
    async def play(*, allowed: bool, answer: int) -> None:
        scene = await a_scene(make_settings(allow_http=allowed))
        url = advertisement(server).metadata_url
        scene.documents.by_url = {url: server.metadata(), f"{server.issuer}/jwks": server.jwks()}
        scene.says(server)
        await asyncio.sleep(60)
        assert scene.status(server) == answer
        assert bool(scene.urls()) == allowed
        await scene.keys.stop()

    play(allowed=False, answer=401)
    assert "not https" in caplog.text
    play(allowed=True, answer=200)


@in_virtual_time
async def test_a_server_may_be_advertised_before_it_listens(make_settings: MakeSettings) -> None:
    """It is tried again, ever less often; its tokens wait, and others' are refused."""
    server, other = a_server(), a_server(host="other.example.com")
    scene = await a_scene(make_settings())
    scene.says(server)
    await asyncio.sleep(3)
    assert 2 <= len(scene.urls()) <= 5
    assert scene.status(server) == 503
    assert 1 <= scene.retry_after(server.token()) <= 4
    assert scene.status(other) == 401
    await asyncio.sleep(HOUR)
    tried = [when for when, _ in scene.documents.asked]
    late = [later - earlier for earlier, later in itertools.pairwise(tried)][8:]
    assert all(30 <= each <= 60.1 for each in late)
    scene.documents.publish(server)
    await asyncio.sleep(60.1)
    assert scene.status(server) == 200
    await scene.keys.stop()


# While it is not known


@in_virtual_time
async def test_before_dns_has_answered_tokens_wait(make_settings: MakeSettings) -> None:
    """Any issuer may yet turn out to be trusted: 503, soon again; nobody is let in, or asked."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    for _ in range(100):
        await asyncio.sleep(1)
        assert scene.status(server) == 503
        assert scene.retry_after(server.token()) == 2
    assert scene.urls() == []
    scene.says(server)
    await a_while()
    assert scene.status(server) == 200
    await scene.keys.stop()


@pytest.mark.parametrize(
    "issuer", ["", "nobody", "http://auth.example.com", "https://", "https://a.example.com?b"]
)
def test_what_can_be_no_issuer_never_waits(make_settings: MakeSettings, issuer: str) -> None:
    """No advertisement could make it one."""

    @in_virtual_time
    async def play() -> None:
        scene = await a_scene(make_settings())
        assert scene.answer(signing_key(0).sign(claims_of(issuer))) == 401
        await scene.keys.stop()

    play()


@in_virtual_time
async def test_where_nothing_is_advertised_nobody_is_trusted(make_settings: MakeSettings) -> None:
    """DNS has said so: 401."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    scene.says()
    await asyncio.sleep(60)
    assert scene.status(server) == 401
    assert scene.urls() == []
    await scene.keys.stop()


@in_virtual_time
async def test_neighbours_of_a_server_that_is_not_confirmed_wait_too(
    make_settings: MakeSettings,
) -> None:
    """With the policy same-host they would count once it is."""
    server, neighbour = a_server(0), a_server(1, port=9443)
    scene = await a_scene(make_settings(), neighbour)
    scene.says(server)
    await a_while()
    assert scene.status(neighbour) == 503
    assert neighbour.issuer not in " ".join(scene.urls())
    scene.documents.publish(server)
    await asyncio.sleep(2)
    assert await scene.answer_after_fetch(neighbour.token()) == 200
    await scene.keys.stop()
    strict = await a_scene(make_settings(issuer_policy="configured"))
    strict.says(server)
    await a_while()
    assert strict.status(neighbour) == 401
    await strict.keys.stop()


# Servers that go


@in_virtual_time
async def test_a_server_that_goes_is_trusted_no_more(make_settings: MakeSettings) -> None:
    """At once, tokens verified before included; and it is asked nothing any more."""
    server, other = a_server(0), a_server(1, host="other.example.com")
    scene = await a_scene(make_settings(), server, other)
    scene.says(server, other)
    await a_while()
    token = server.token()
    assert scene.answer(token) == scene.status(other) == 200
    scene.says(other)
    assert scene.answer(token) == scene.status(server) == 401
    assert scene.status(other) == 200
    scene.forget_urls()
    await asyncio.sleep(3 * HOUR)
    assert not any(url.startswith(server.issuer) for url in scene.urls())
    scene.says()
    assert scene.status(other) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_a_key_of_a_server_that_goes_counts_for_nobody(make_settings: MakeSettings) -> None:
    """Members vouch for each other's tokens for as long as they are members."""
    server, other = a_server(0), a_server(1, host="other.example.com")
    scene = await a_scene(make_settings(), server, other)
    scene.says(server, other)
    await a_while()
    shared = signing_key(0).sign(claims_of(other.issuer))
    assert scene.answer(shared) == 200
    scene.says(other)
    assert await scene.answer_after_fetch(shared) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_a_server_that_moves_is_followed(make_settings: MakeSettings) -> None:
    """The new place is trusted as soon as it is confirmed, the old one no longer."""
    old, new = a_server(0), a_server(1, host="new.example.com")
    scene = await a_scene(make_settings(), old, new)
    scene.says(old)
    await a_while()
    scene.says(new)
    assert scene.status(old) == 401
    assert scene.status(new) == 503
    await a_while()
    assert scene.status(new) == 200
    scene.says(old)
    await a_while()
    assert scene.status(old) == 200
    assert scene.status(new) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_neighbours_go_with_the_host(make_settings: MakeSettings) -> None:
    """Who was trusted because of a server is no longer trusted without it."""
    server, neighbour = a_server(0), a_server(1, port=9443)
    scene = await a_scene(make_settings(), server, neighbour)
    scene.says(server)
    await a_while()
    assert await scene.answer_after_fetch(neighbour.token()) == 200
    scene.says(a_server(2, host="other.example.com"))
    assert scene.status(neighbour) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_a_neighbour_that_is_advertised_becomes_a_member(
    make_settings: MakeSettings,
) -> None:
    """Its tokens are valid all the while, and from then on its keys verify those of the others."""
    server, neighbour = a_server(0), a_server(1, port=9443)
    scene = await a_scene(make_settings(), server, neighbour)
    scene.says(server)
    await a_while()
    shared = signing_key(1).sign(claims_of(server.issuer))
    assert await scene.answer_after_fetch(neighbour.token()) == 200
    assert await scene.answer_after_fetch(shared) == 401
    scene.says(server, neighbour)
    for _ in range(20):
        assert scene.status(neighbour) == 200
        await asyncio.sleep(0.01)
    assert scene.answer(shared) == 200
    await scene.keys.stop()


@in_virtual_time
async def test_a_server_that_is_down_is_not_gone(make_settings: MakeSettings) -> None:
    """Its keys stay; DNS is asked again whether it has moved."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    scene.says(server)
    await a_while()
    scene.documents.fail(server)
    await asyncio.sleep(48 * HOUR)
    assert scene.status(server) == 200
    assert scene.announcements.doubted
    assert set(scene.announcements.doubted) == {advertisement(server)}
    await scene.keys.stop()


@in_virtual_time
async def test_another_issuer_in_its_place_is_another_issuer(make_settings: MakeSettings) -> None:
    """Metadata that names another issuer of the same URL withdraws the first."""
    server = a_server(0, path="/a")
    scene = await a_scene(make_settings(), server)
    scene.says(server)
    await a_while()
    assert scene.status(server) == 200
    scene.documents.publish(server, issuer=f"{server.issuer}/")
    await asyncio.sleep(HOUR + 62)
    assert scene.answer(signing_key(0).sign(claims_of(f"{server.issuer}/"))) == 200
    assert await scene.answer_after_fetch(server.token()) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_lies_in_its_place_lose_no_keys(make_settings: MakeSettings) -> None:
    """Metadata that may not be used is a failed refresh, and no news."""
    server = a_server()
    scene = await a_scene(make_settings(), server)
    scene.says(server)
    await a_while()
    scene.documents.publish(server, issuer="https://evil.example.com")
    await asyncio.sleep(5 * HOUR)
    assert scene.status(server) == 200
    assert not any("evil" in url for url in scene.urls())
    scene.documents.publish(server)
    await asyncio.sleep(HOUR)
    assert scene.status(server) == 200
    await scene.keys.stop()


# Multicast DNS


@in_virtual_time
async def test_a_server_that_multicast_dns_lost_stays_until_another_answers(
    make_settings: MakeSettings,
) -> None:
    """IS-10: "currently held public keys remain valid until it is able to re-establish"."""
    server, other = a_server(0), a_server(1, host="other.example.com")
    scene = await a_scene(make_settings(), server)
    scene.says(server, domain="local")
    await a_while()
    token = server.token()
    scene.says()
    await asyncio.sleep(24 * HOUR)
    assert scene.answer(token) == scene.status(server) == 200
    scene.says(other, domain="local")
    await asyncio.sleep(HOUR)
    assert scene.status(server) == 200
    scene.documents.publish(other)
    await asyncio.sleep(61)
    assert scene.status(other) == 200
    assert scene.answer(token) == scene.status(server) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_a_server_that_multicast_dns_finds_again_never_left(
    make_settings: MakeSettings,
) -> None:
    """A server that was switched off and on is the same."""
    server = a_server(0)
    scene = await a_scene(make_settings(), server)
    scene.says(server, domain="local")
    await a_while()
    scene.says()
    scene.documents.fail(server)
    await asyncio.sleep(2 * HOUR)
    scene.documents.publish(server)
    scene.says(server, domain="local")
    await asyncio.sleep(2 * HOUR)
    assert scene.status(server) == 200
    await scene.keys.stop()


@in_virtual_time
async def test_a_server_that_was_never_confirmed_leaves_nothing(
    make_settings: MakeSettings,
) -> None:
    """There are no keys to keep."""
    server = a_server(0)
    scene = await a_scene(make_settings())
    scene.says(server, domain="local")
    await a_while()
    scene.says()
    scene.forget_urls()
    await asyncio.sleep(HOUR)
    assert scene.urls() == []
    assert scene.status(server) == 401
    await scene.keys.stop()


# Kept keys


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a keys file with the keys of one server."""
    path = tmp_path / "keys.json"
    server = a_server(0)
    KeysFile(path).save({server.issuer: KeptIssuer(parse_jwks(server.jwks()).keys)})
    return path


def test_kept_keys_count_once_dns_names_their_server(
    make_settings: MakeSettings, kept: Path
) -> None:
    """After a restart with the server down: not before, since the file says not whom to trust."""

    @in_virtual_time
    async def play() -> None:
        server = a_server(0)
        scene = await a_scene(make_settings(keys_file=kept))
        await asyncio.sleep(60)
        assert scene.status(server) == 503
        scene.says(server)
        assert scene.status(server) == 200
        await asyncio.sleep(HOUR)
        assert scene.status(server) == 200
        await scene.keys.stop()

    play()


def test_kept_keys_of_a_server_that_is_not_advertised_do_not_count(
    make_settings: MakeSettings, kept: Path
) -> None:
    """Gone while the Node was off is gone; others on its host or port are not it."""

    @in_virtual_time
    async def play() -> None:
        server = a_server(0)
        scene = await a_scene(make_settings(keys_file=kept, issuer_policy="configured"))
        scene.says()
        assert scene.status(server) == 401
        for other in (a_server(port=9443), a_server(host="b.example.com")):
            scene.says(other)
            assert scene.status(server) == 401
        await scene.keys.stop()

    play()


def test_whom_an_advertised_server_named_is_trusted_over_a_restart(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Once DNS advertises the server that named it, and until that server names another.

    Until the server answers, it may name any issuer of its origin: their tokens wait.
    """
    server, path = a_server(0), tmp_path / "keys.json"
    keys = parse_jwks(server.jwks()).keys
    place = f"{server.issuer}{server.metadata_path}"
    elsewhere = "https://b.example.com/auth/realms/master"
    KeysFile(path).save(
        {
            elsewhere: KeptIssuer(keys, time.time(), (place,)),
            REALM: KeptIssuer(keys, time.time(), (place,)),
        }
    )
    of_realm, of_other, of_elsewhere = (
        signing_key(0).sign(claims_of(each)) for each in (REALM, f"{REALM}2", elsewhere)
    )

    @in_virtual_time
    async def play() -> None:
        scene = await a_scene(make_settings(keys_file=path, issuer_policy="configured"))
        scene.says(a_server(host="c.example.com"))
        assert scene.answer(of_realm) == 401
        scene.says(server)
        await asyncio.sleep(HOUR)
        assert scene.answer(of_realm) == 200
        assert scene.answer(of_other) == 503
        assert scene.answer(of_elsewhere) == 401
        scene.documents.publish(server)
        await asyncio.sleep(120)
        assert scene.answer(of_realm) == scene.answer(of_other) == 401
        assert scene.status(server) == 200
        await scene.keys.stop()

    play()


def test_kept_keys_of_neighbours_count_with_the_server(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """As they did before the restart."""
    server, neighbour = a_server(0), a_server(1, port=9443)
    path = tmp_path / "keys.json"
    now = time.time()
    KeysFile(path).save(
        {each.issuer: KeptIssuer(parse_jwks(each.jwks()).keys, now) for each in (neighbour, server)}
    )

    @in_virtual_time
    async def play() -> None:
        scene = await a_scene(make_settings(keys_file=path))
        scene.says(server)
        assert scene.status(neighbour) == scene.status(server) == 200
        assert scene.answer(signing_key(1).sign(claims_of(server.issuer))) in {401, 503}
        await scene.keys.stop()

    play()


async def test_an_issuer_that_is_another_now_replaces_the_kept_one(
    make_settings: MakeSettings, kept: Path
) -> None:
    """What the server says as soon as it answers counts."""
    server = a_server(0)
    scene = await a_scene(make_settings(keys_file=kept))
    scene.documents.publish(server, issuer=f"{server.issuer}/")
    scene.says(server)
    assert scene.status(server) == 200
    await _until(lambda: scene.status(server) == 401)
    await scene.keys.stop()


async def test_the_file_keeps_what_dns_has_not_answered_for(
    make_settings: MakeSettings, kept: Path
) -> None:
    """A save before that loses nothing; after that, only who is trusted is kept."""
    server, configured = a_server(0), a_server(1, host="configured.example.com")
    settings = make_settings(keys_file=kept, trusted_issuers=configured.issuer)

    scene = await a_scene(settings, configured)
    scene.status(configured)
    await _until(lambda: KeysFile(kept).load().keys() == {server.issuer, configured.issuer})
    scene.says(server)
    scene.documents.publish(server)
    await _until(lambda: scene.status(server) == 200)
    assert KeysFile(kept).load().keys() == {server.issuer, configured.issuer}
    scene.says()
    await _until(lambda: KeysFile(kept).load().keys() == {configured.issuer})
    await scene.keys.stop()


async def test_the_file_forgets_whom_dns_does_not_name(
    make_settings: MakeSettings, kept: Path
) -> None:
    """Else old keys would be trusted, should the server be advertised after another restart."""
    scene = await a_scene(make_settings(keys_file=kept))
    scene.says()
    await _until(lambda: KeysFile(kept).load() == {})
    await scene.keys.stop()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - there is no event for what is on disk
            await asyncio.sleep(0.01)


# Settings


@in_virtual_time
async def test_servers_take_the_place_of_discovery(make_settings: MakeSettings) -> None:
    """DISCOVERY is "used while SERVERS is empty"."""
    server, other = a_server(0), a_server(1, host="other.example.com")
    scene = await a_scene(make_settings(server, discovery="unicast"), server, other)
    scene.says(other)
    await a_while()
    assert scene.announcements.followed == 0
    assert scene.status(server) == 200
    assert scene.status(other) == 401
    await scene.keys.stop()


@in_virtual_time
async def test_trusted_issuers_count_beside_discovery(make_settings: MakeSettings) -> None:
    """Whatever is advertised; and they stay when they are advertised no more."""
    server, trusted = a_server(0), a_server(1, host="trusted.example.com")
    scene = await a_scene(make_settings(trusted_issuers=trusted.issuer), server, trusted)
    assert await scene.answer_after_fetch(trusted.token()) == 200
    scene.says(server, trusted)
    await a_while()
    assert scene.status(server) == scene.status(trusted) == 200
    scene.says()
    assert scene.status(server) == 401
    assert scene.status(trusted) == 200
    await scene.keys.stop()


def test_somebody_has_to_be_trusted(make_settings: MakeSettings) -> None:
    """Without SERVERS, DISCOVERY and TRUSTED_ISSUERS no request could ever pass: no start."""
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_SERVERS.*NMOS_AUTH_DISCOVERY"):
        KeyStore(make_settings(), Documents)
    with pytest.raises(ConfigurationError, match="NMOS_AUTH_SERVERS"):
        NmosAuthMiddleware(_nothing, make_settings())
    KeyStore(make_settings(trusted_issuers="https://auth.example.com"), Documents)
    KeyStore(make_settings(discovery="unicast"), Documents)
    NmosAuthMiddleware(_nothing, make_settings(enabled=False))


async def test_a_server_is_told_that_nobody_is_trusted(make_settings: MakeSettings) -> None:
    """Where the event loop runs already, as FastAPI has it, the start fails by the lifespan."""
    middleware = NmosAuthMiddleware(_nothing, make_settings())
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError):
        await middleware({"type": "lifespan"}, receive, send)
    assert [each["type"] for each in sent] == ["lifespan.startup.failed"]
    assert "NMOS_AUTH_SERVERS" in sent[0]["message"]


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Be an app."""


@pytest.mark.parametrize("named", [True, False])
def test_trusting_every_public_certificate_is_a_warning(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, *, named: bool
) -> None:
    """DNS decides who is trusted, and without CA_FILE any domain has a certificate."""
    changes = {} if named else {"ca_file": None}
    KeyStore(make_settings(discovery="unicast", **changes), Documents)
    assert ("NMOS_AUTH_CA_FILE" in caplog.text) is not named


# Bounds, starting and stopping


@in_virtual_time
async def test_the_first_sixteen_servers_count(make_settings: MakeSettings) -> None:
    """However many DNS names, no more are asked."""
    servers = [a_server(0, port=port) for port in range(9000, 9030)]
    scene = await a_scene(make_settings(issuer_policy="configured"), *servers)
    scene.announcements.say(
        *(advertisement(each, pri=number) for number, each in enumerate(servers))
    )
    await a_while()
    assert [scene.status(each) for each in servers] == [200] * 16 + [401] * 14
    assert not any(url.startswith(each.issuer) for url in scene.urls() for each in servers[16:])
    await scene.keys.stop()


@pytest.mark.parametrize("fakes", [16, 40, 63])
@pytest.mark.parametrize("fault", ["lies", "hangs", "refuses"])
def test_fakes_do_not_keep_a_real_server_out(
    make_settings: MakeSettings, fakes: int, fault: str
) -> None:
    """Unconfirmed advertisements hold no place, however much they say they are preferred."""

    @in_virtual_time
    async def play() -> None:
        server = a_server(0)
        scene = await a_scene(make_settings(), server)
        scene.documents.latency = 0.5
        false = [a_server(9, host=f"fake-{number}.example.com") for number in range(fakes)]
        for each in false:
            if fault == "lies":
                scene.documents.publish(each, issuer=server.issuer)
            elif fault == "hangs":
                scene.documents.hang(each)
        scene.announcements.say(
            *(advertisement(each, pri=0) for each in false), advertisement(server, pri=10)
        )
        begun, now = asyncio.get_running_loop().time(), asyncio.get_running_loop().time
        while scene.status(server) != 200:
            assert scene.status(server) == 503
            assert now() - begun < 60
            await asyncio.sleep(0.5)
        at_once = max(
            sum(when <= at < when + 0.5 for at, _ in scene.documents.asked)
            for when, _ in scene.documents.asked
        )
        assert at_once <= 10
        await asyncio.sleep(HOUR)
        assert scene.status(server) == 200
        asked = len(scene.documents.asked)
        assert asked < fakes * 100
        await scene.keys.stop()

    play()


@in_virtual_time
async def test_a_better_server_takes_the_place_of_the_least(make_settings: MakeSettings) -> None:
    """Sixteen places, for the most preferred of those that are confirmed."""
    servers = [a_server(0, port=port) for port in range(9000, 9017)]
    scene = await a_scene(make_settings(issuer_policy="configured"), *servers[1:])
    scene.announcements.say(
        *(advertisement(each, pri=number) for number, each in enumerate(servers))
    )
    await a_while()
    assert [scene.status(each) for each in servers] == [503] + [200] * 16
    scene.documents.publish(servers[0])
    await asyncio.sleep(61)
    assert [scene.status(each) for each in servers] == [200] * 16 + [401]
    await scene.keys.stop()


@in_virtual_time
async def test_stopping_leaves_nothing_behind(make_settings: MakeSettings) -> None:
    """No task outlives `stop`, whatever was going on; what is known still counts."""
    good, bad = a_server(0), a_server(1, host="bad.example.com")
    scene = await a_scene(make_settings(), good, start=False)
    scene.documents.latency = 1
    for moment in (0.0, 0.5, 1.5, 2.5, 100.0):
        scene.keys.start()
        await asyncio.sleep(0)
        scene.says(good, bad)
        await asyncio.sleep(moment)
        await scene.keys.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert scene.status(good) == 200


@in_virtual_time
async def test_stopping_while_a_server_goes(make_settings: MakeSettings) -> None:
    """What was going on for it ends too."""
    server = a_server(0)
    scene = await a_scene(make_settings(), server)
    scene.documents.latency = 1
    scene.says(server)
    await asyncio.sleep(1.5)
    scene.says()
    await scene.keys.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_second_event_loop_takes_over(make_settings: MakeSettings) -> None:
    """Servers found on one loop count on the next, and go there."""
    server, late = a_server(0), a_server(1, host="late.example.com")
    scenes: list[Advertised] = []

    @in_virtual_time
    async def first() -> None:
        scenes.append(await a_scene(make_settings(), server))
        scenes[0].says(server, late)
        await asyncio.sleep(10)
        assert scenes[0].status(server) == 200

    @in_virtual_time
    async def second() -> None:
        scene = scenes[0]
        scene.documents.publish(late)
        scene.keys.start()
        assert scene.status(server) == 200
        await asyncio.sleep(61)
        assert scene.status(late) == 200
        scene.says(late)
        assert scene.status(server) == 401
        await scene.keys.stop()

    first()
    second()


@in_virtual_time
async def test_no_document_ends_the_confirming(make_settings: MakeSettings) -> None:
    """Whatever a client raises, the next attempt comes."""
    server = a_server(0)
    scene = await a_scene(make_settings())
    scene.documents.by_url[advertisement(server).metadata_url] = RuntimeError("a mishap")
    scene.says(server)
    await asyncio.sleep(10)
    assert scene.status(server) == 503
    scene.documents.publish(server)
    await asyncio.sleep(61)
    assert scene.status(server) == 200
    await scene.keys.stop()
