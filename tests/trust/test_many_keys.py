"""Many keys: some are tried at once, the rest while other requests are served."""

from __future__ import annotations

import asyncio
import logging

import pytest

from nmos_auth.errors import KeysUnavailable
from nmos_auth.rules.tokens import SignedToken, parse_token
from nmos_auth.trust.jwks import VerificationKey, parse_jwks
from nmos_auth.trust.many_keys import ManyKeys, first_of
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings, foreign_token
from tests.support.tokens import b64url, claims_of, signing_key
from tests.support.virtual_time import Documents, Resource, a_server, in_virtual_time

ISSUER = "https://auth.example.com"


def numbers(bits: int, count: int) -> list[dict[str, object]]:
    """Return as many keys of a size as JWKs; nobody can sign with them."""
    return [
        signing_key(0).jwk(
            n=b64url(((1 << bits) - 1 - 2 * each).to_bytes(bits // 8, "big")), kid=f"{bits}-{each}"
        )
        for each in range(count)
    ]


def keys_of(*jwks: dict[str, object]) -> tuple[VerificationKey, ...]:
    """Return keys."""
    return parse_jwks({"keys": list(jwks)}).keys


def signed_by(number: int) -> SignedToken:
    """Return a token that this key signed."""
    return parse_token(signing_key(number).sign(claims_of(ISSUER)).encode())


@pytest.mark.parametrize(
    ("bits", "count"),
    [(2048, 64), (4096, 16), (8192, 4)],
)
def test_how_many_are_tried_at_once(bits: int, count: int) -> None:
    """Sixteen of 4096 bits, or what takes as long."""
    assert first_of(keys_of(*numbers(bits, count))) == count
    more = keys_of(*numbers(bits, count), signing_key(0).jwk()) if count < 64 else ()
    assert first_of(more) in {0, count}


def test_one_is_always_tried() -> None:
    """However large it is; and of none, none."""
    keys = keys_of(*numbers(8192, 10))
    assert first_of(keys[:1]) == 1
    assert first_of(()) == 0


@in_virtual_time
async def test_the_outcome_is_known_a_moment_later() -> None:
    """Both that a key was found and that none was; it is not tried again for the same keys."""
    many_keys = ManyKeys()
    keys = (*keys_of(*numbers(8192, 30)), *keys_of(signing_key(1).jwk()))
    for digest, number, verified in ((b"good", 1, True), (b"bad", 2, False)):
        with pytest.raises(KeysUnavailable) as caught:
            many_keys.verify(digest, signed_by(number), keys)
        assert caught.value.retry_after == 1
        await asyncio.sleep(0.1)
        for _ in range(3):
            assert many_keys.verify(digest, signed_by(number), keys) is verified
    with pytest.raises(KeysUnavailable):
        many_keys.verify(b"good", signed_by(1), keys[:-1])
    await many_keys.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_other_work_goes_on_between() -> None:
    """No turn of the loop tries more than is tried at once."""
    many_keys, turns = ManyKeys(), 0
    keys = keys_of(*numbers(8192, 40))
    with pytest.raises(KeysUnavailable):
        many_keys.verify(b"bad", signed_by(1), keys)
    while True:
        await asyncio.sleep(0)
        turns += 1
        try:
            many_keys.verify(b"bad", signed_by(1), keys)
        except KeysUnavailable:
            continue
        break
    assert turns >= 10
    await many_keys.stop()


@in_virtual_time
async def test_how_many_wait_is_bounded() -> None:
    """Who finds no room comes again."""
    many_keys = ManyKeys()
    keys = keys_of(*numbers(8192, 5))
    for number in range(74):
        with pytest.raises(KeysUnavailable):
            many_keys.verify(str(number).encode(), signed_by(1), keys)
    assert len(many_keys._waiting) == 64
    await many_keys.stop()


@in_virtual_time
async def test_the_oldest_outcome_is_forgotten_first() -> None:
    """256 are remembered; a token that is forgotten is tried again."""
    many_keys, signed = ManyKeys(), signed_by(1)
    digests = [str(number).encode() for number in range(257)]
    for digest in digests:
        with pytest.raises(KeysUnavailable):
            many_keys.verify(digest, signed, ())
        await asyncio.sleep(0.01)
    for digest in digests[1:]:
        assert many_keys.verify(digest, signed, ()) is False
    with pytest.raises(KeysUnavailable):
        many_keys.verify(digests[0], signed, ())
    await many_keys.stop()


@in_virtual_time
async def test_stopping_ends_what_goes_on() -> None:
    """No task is left and nothing waits; a token that is sent again is tried again."""
    many_keys = ManyKeys()
    keys = keys_of(*numbers(8192, 40))
    with pytest.raises(KeysUnavailable):
        many_keys.verify(b"bad", signed_by(1), keys)
    await asyncio.sleep(0)
    await many_keys.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not many_keys._waiting
    with pytest.raises(KeysUnavailable):
        many_keys.verify(b"bad", signed_by(1), keys)
    await asyncio.sleep(0.1)
    assert many_keys.verify(b"bad", signed_by(1), keys) is False
    await many_keys.stop()


# At work


async def started(make_settings: MakeSettings, server: FakeAuthorizationServer) -> Resource:
    """Return a resource server that trusts this one, which has forty keys of 4096 bits as well."""
    documents = Documents()
    documents.publish(server)
    documents.by_url[f"{server.issuer}/jwks"] = {
        "keys": [*numbers(4096, 40), *(key.jwk() for key in server.keys)]
    }
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    return resource


def test_a_token_that_names_its_key_is_good_at_once(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """One that does not is good in the end; a forged one is invalid. One warning is logged."""
    caplog.set_level(logging.WARNING, "nmos_auth")

    @in_virtual_time
    async def play() -> None:
        server = a_server(0)
        resource = await started(make_settings, server)
        assert resource.answer(server.token()) == 200
        nameless = signing_key(0).sign(claims_of(server.issuer), {"kid": None})
        assert resource.retry_after(nameless) == 1
        await asyncio.sleep(1)
        assert resource.answer(nameless) == 200
        forged = foreign_token(server, iat=1)
        assert resource.answer(forged) == 503
        await asyncio.sleep(1)
        assert resource.answer(forged) == 401
        await asyncio.sleep(3 * 3600)
        await resource.keys.stop()
        assert resource.answer(foreign_token(server, iat=2)) == 503
        await resource.verifier.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    play()
    assert sum("41 keys are trusted" in each.getMessage() for each in caplog.records) == 1
