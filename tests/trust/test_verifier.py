"""From a token's text to a verified token: what is remembered, and for how long."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import time

import pytest

from nmos_auth.errors import AuthorizationError, InvalidToken
from nmos_auth.rules.tokens import parse_token
from nmos_auth.servers.answers import Document
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.verifier import (
    MOST_TOKENS,
    Verifier,
    describe_hearsay,
    describe_token,
)
from tests.support.authority import FakeAuthorizationServer
from tests.support.clocks import Clock
from tests.support.parsed import GOOD_HEADER, compact
from tests.support.scene import MakeSettings
from tests.support.tokens import b64url, claims_of, signing_key
from tests.support.virtual_time import Documents, Resource, a_server, in_virtual_time

SERVER = FakeAuthorizationServer([signing_key(0)], host="auth.example.com", port=443)


async def with_keys(
    make_settings: MakeSettings, clock: Clock, *, leeway: float = 1
) -> tuple[Verifier, KeyStore]:
    """Return a verifier that holds the server's key."""
    documents = Documents()
    documents.publish(SERVER)
    settings = make_settings(SERVER)
    keys = KeyStore(settings, lambda: documents, monotonic=asyncio.get_running_loop().time)
    keys.start()
    await asyncio.sleep(1)
    return Verifier(keys, settings.audience, leeway, clock=clock), keys


def status(verifier: Verifier, token: str) -> int:
    """Return the status with which this token would be answered."""
    try:
        verifier.verify(token.encode())
    except AuthorizationError as error:
        return error.status
    return 200


@in_virtual_time
async def test_a_token_ends_with_exp_however_often_it_was_seen(make_settings: MakeSettings) -> None:
    """RFC 7519 Section 4.1.4: "on or after which the JWT MUST NOT be accepted"; no leeway."""
    clock = Clock()
    verifier, keys = await with_keys(make_settings, clock, leeway=300)
    token = SERVER.token(exp=clock.now + 100)
    for offset, expected in ((0, 200), (99.9, 200), (100, 401), (101, 401), (99.9, 200)):
        start = clock.now
        clock.now += offset
        assert status(verifier, token) == expected
        clock.now = start
    await keys.stop()


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@in_virtual_time
async def test_leeway_is_for_beginnings(make_settings: MakeSettings, claim: str) -> None:
    """Design, Environment: LEEWAY, "seconds allowed on iat and nbf"."""
    clock = Clock()
    verifier, keys = await with_keys(make_settings, clock, leeway=5)
    for ahead, expected in ((0, 200), (4.9, 200), (5, 200), (5.1, 401), (60, 401)):
        assert status(verifier, SERVER.token(**{claim: clock.now + ahead})) == expected
    await keys.stop()


@in_virtual_time
async def test_a_token_that_was_too_early_counts_in_its_time(make_settings: MakeSettings) -> None:
    """A refusal is not remembered."""
    clock = Clock()
    verifier, keys = await with_keys(make_settings, clock)
    token = SERVER.token(nbf=clock.now + 10)
    assert status(verifier, token) == 401
    clock.now += 10
    assert status(verifier, token) == 200
    await keys.stop()


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@in_virtual_time
async def test_a_clock_that_was_set_back_is_noticed(
    make_settings: MakeSettings, claim: str
) -> None:
    """A token that was verified is looked at again: by the clock of now its time has not come."""
    clock = Clock()
    verifier, keys = await with_keys(make_settings, clock, leeway=1)
    token = SERVER.token(**{"iat": None, claim: clock.now})
    assert status(verifier, token) == 200
    for back, expected in ((0.5, 200), (1, 200), (1.5, 401), (3600, 401)):
        clock.now -= back
        assert status(verifier, token) == expected
        clock.now += back
    assert status(verifier, token) == 200
    await keys.stop()


@in_virtual_time
async def test_one_text_is_one_token(make_settings: MakeSettings) -> None:
    """Seen a second time it is the same object, until a key is withdrawn; another text is not."""
    verifier, keys = await with_keys(make_settings, Clock())
    first, second = SERVER.token().encode(), SERVER.token().encode()
    assert verifier.verify(first) is verifier.verify(first)
    assert verifier.verify(first).token != verifier.verify(second).token
    remembered = verifier.verify(first)
    keys.withdrawals += 1
    assert verifier.verify(first) is not remembered
    assert verifier.verify(first) is verifier.verify(first)
    await keys.stop()


@in_virtual_time
async def test_a_token_is_recalled_by_the_field_that_it_came_in(
    make_settings: MakeSettings,
) -> None:
    """By that field byte for byte, while it is valid; one without a field as if it came in one."""
    clock = Clock()
    verifier, keys = await with_keys(make_settings, clock)
    first, second = (SERVER.token(exp=clock.now + 100).encode() for _ in range(2))
    field = b"bearer  " + second
    by_itself, in_field = verifier.verify(first), verifier.verify(second, field=field)
    assert verifier.recall(b"Bearer " + first) is by_itself
    assert verifier.recall(field) is in_field
    for other in (first, second, b"Bearer " + second, b"bearer " + second, field + b" ", b""):
        assert verifier.recall(other) is None
    clock.now += 100
    assert verifier.recall(field) is None
    await keys.stop()


@in_virtual_time
async def test_what_was_verified_does_not_vouch_for_its_parts(make_settings: MakeSettings) -> None:
    """The same header, claims or signature in another token are verified again."""
    verifier, keys = await with_keys(make_settings, Clock())
    good, other = SERVER.token(), SERVER.token(sub="administrator@example.com")
    assert status(verifier, good) == 200
    header, _, signature = good.split(".")
    forged = f"{header}.{other.split('.')[1]}.{signature}"
    padded = f"{good}=="
    empty = f"{header}.{good.split('.')[1]}."
    for text in (forged, padded, empty, f"{good}.{signature}", f" {good}", good.upper()):
        assert status(verifier, text) in {401, 503}
    assert status(verifier, good) == 200
    await keys.stop()


@in_virtual_time
async def test_any_bit_of_the_signature_matters(make_settings: MakeSettings) -> None:
    """No altered signature verifies."""
    verifier, keys = await with_keys(make_settings, Clock())
    signed, _, signature = SERVER.token().rpartition(".")
    for position in range(0, len(signature), 23):
        letter = "A" if signature[position] != "A" else "B"
        altered = signature[:position] + letter + signature[position + 1 :]
        assert status(verifier, f"{signed}.{altered}") in {401, 503}
    assert status(verifier, f"{signed}.{b64url(bytes(256))}") in {401, 503}
    await keys.stop()


@in_virtual_time
async def test_memory_is_flat_over_any_number_of_tokens(make_settings: MakeSettings) -> None:
    """The oldest make room, and are as valid as before when they come again."""
    verifier, keys = await with_keys(make_settings, Clock())
    first = SERVER.token(sub="flat")
    assert status(verifier, first) == 200
    for _ in range(MOST_TOKENS + 200):
        assert status(verifier, SERVER.token(iat=None, sub="flat")) == 200
    gc.collect()
    # The collector does not know tokens, but their claims.
    held = sum(each.get("sub") == "flat" for each in gc.get_objects() if type(each) is dict)
    assert MOST_TOKENS - 10 <= held <= MOST_TOKENS + 10
    assert status(verifier, first) == 200
    await keys.stop()


@in_virtual_time
async def test_refused_tokens_do_not_push_out_good_ones(make_settings: MakeSettings) -> None:
    """What strangers send takes no room: the token seen first is remembered still."""
    verifier, keys = await with_keys(make_settings, Clock())
    token = SERVER.token().encode()
    remembered = verifier.verify(token)
    wrong, _, signature = SERVER.token(sub="someone").rpartition(".")
    for number in range(MOST_TOKENS + 200):
        text = f"{wrong}.{b64url(number.to_bytes(256, 'big'))}"
        assert status(verifier, text) in {401, 503}
    assert verifier.verify(token) is remembered
    assert status(verifier, f"{wrong}.{signature}") == 200
    await keys.stop()


@pytest.mark.parametrize(("most", "remembered"), [(40, True), (39, False)])
@in_virtual_time
async def test_a_long_token_takes_the_room_of_several(
    make_settings: MakeSettings, most: int, *, remembered: bool
) -> None:
    """One of 12 KB takes that of four, and nothing takes more than a tenth of the room."""
    _, keys = await with_keys(make_settings, Clock())
    verifier = Verifier(keys, (), 1, most=most)
    text = SERVER.token(private="x" * 9000).encode()
    assert 3 * 4096 <= len(text) < 4 * 4096
    assert (verifier.verify(text) is verifier.verify(text)) is remembered
    # RFC 6750 Section 2.1 allows any number of spaces, so a good token may come in fields of 64 KB.
    text = SERVER.token().encode()
    field = (b"Bearer" + b" " * 4 * 4096)[: 4 * 4096 - 1 - len(text)] + text
    verifier.verify(text, field=field)
    assert (verifier.recall(field) is not None) is remembered
    await keys.stop()


@in_virtual_time
async def test_a_token_out_of_its_time_tells_of_the_issuers_clock(
    make_settings: MakeSettings,
) -> None:
    """The issuer's clock may be what is wrong."""
    server, documents, now = a_server(0), Documents(), time.time()
    documents.publish(server)
    documents.by_url[f"{server.issuer}/jwks"] = Document(server.jwks(), date=now + 100)
    resource = Resource.create(documents, make_settings(server), clock=lambda: now)
    resource.keys.start()
    await asyncio.sleep(1)
    with pytest.raises(InvalidToken) as caught:
        resource.verifier.verify(server.token(exp=now - 10).encode())
    assert str(caught.value.detail) == (
        "exp was 10 s ago; the issuer's clock is 100 s ahead of this server's"
    )
    await resource.keys.stop()


SAID = '"iss":"i","sub":"s","client_id":"c","scope":"n q"'


@pytest.mark.parametrize(
    ("claims", "verified", "said"),
    [
        ({"jti": "j"}, True, f'"verified":true,{SAID},"jti":"j"'),
        ({"jti": "j"}, False, f'"verified":false,{SAID},"jti":"j"'),
        ({"jti": None}, True, f'"verified":true,{SAID},"token":"sha256:DIGEST"'),
        ({"jti": "j", "exp": None}, None, f'"verified":false,{SAID},"jti":"j"'),
        ({"jti": "", "exp": None}, None, f'"verified":false,{SAID},"token":"sha256:DIGEST"'),
    ],
)
def test_what_audit_lines_say_of_a_token(
    claims: dict[str, object], said: str, *, verified: bool | None
) -> None:
    """Its claims, whether to believe them, and a digest where it has no name of its own."""
    claims = claims_of("i", sub="s", client_id="c", scope="n q", **claims)
    text = compact(GOOD_HEADER, json.dumps(claims).encode())
    token = None if verified is None else parse_token(text).token
    if token is not None and verified:
        subject = describe_token(text, token, verified=True)
    else:
        subject = describe_hearsay(text, token)
    assert str(subject) == said.replace("DIGEST", hashlib.sha256(text).hexdigest()[:16])
    assert subject.verified is bool(verified)
    assert subject.size >= len(text) + len(str(subject))


@in_virtual_time
async def test_a_token_that_was_verified_is_said_to_be(make_settings: MakeSettings) -> None:
    """The audit log may believe it."""
    verifier, keys = await with_keys(make_settings, Clock())
    assert verifier.verify(SERVER.token().encode()).subject.verified
    await keys.stop()


@in_virtual_time
async def test_a_token_for_everyone_is_worth_a_warning(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Design, decisions: aud `*` is anything, "with a warning logged"; and no token in it."""
    verifier, keys = await with_keys(make_settings, Clock())
    token = SERVER.token(aud=["*"])
    with caplog.at_level(logging.WARNING, "nmos_auth"):
        assert verifier.verify(token.encode()).names_this_server
    assert len(caplog.records) == 1
    assert token not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text
    await keys.stop()


@pytest.mark.parametrize(
    ("audience", "ours"),
    [
        (["https://node1.example.com"], True),
        ("node1.example.com", True),
        (["https://node2.example.com"], False),
        ([], False),
    ],
)
@in_virtual_time
async def test_an_authentic_token_for_another_server_is_authentic(
    make_settings: MakeSettings, *, audience: object, ours: bool
) -> None:
    """It is told apart from a bad one: 403 is answered, and not 401."""
    verifier, keys = await with_keys(make_settings, Clock())
    assert verifier.verify(SERVER.token(aud=audience).encode()).names_this_server is ours
    await keys.stop()


@in_virtual_time
async def test_no_error_shows_the_token(make_settings: MakeSettings) -> None:
    """Neither the exception nor what it carries quotes the text."""
    verifier, keys = await with_keys(make_settings, Clock())
    bad = signing_key(9).sign(claims_of(SERVER.issuer, exp=1))
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(bad.encode())
    shown = f"{caught.value!r} {caught.value} {caught.value.token!r} {vars(caught.value)}"
    for part in bad.split("."):
        assert part not in shown
    await keys.stop()
