"""Key sets, good and bad (RFC 7517, RFC 7518 Section 6.3; design, decisions on JOSE)."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nmos_auth.errors import KeySetError
from nmos_auth.rules.tokens import SignedToken, parse_token
from nmos_auth.trust.jwks import KeySet, parse_jwks
from tests.support.tokens import SigningKey, b64url, claims_of, signing_key

ISSUER = "https://auth.example.com"

Jwk = dict[str, object]


def signed_by(key: SigningKey) -> SignedToken:
    """Return a token, parsed, that this key signed."""
    return parse_token(key.sign(claims_of(ISSUER)).encode())


def verifies(key_set: KeySet, key: SigningKey) -> bool:
    """Tell whether any of the keys verifies what this key signed."""
    return any(each.verifies(signed_by(key)) for each in key_set.keys)


def modulus(key: SigningKey) -> int:
    """Return the modulus."""
    return key.private.public_key().public_numbers().n


def integer(value: int) -> str:
    """Encode as RFC 7518 Section 2 has Base64urlUInt."""
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def published_private_key() -> Jwk:
    """Return a key whose owner published all of it."""
    numbers = signing_key(1).private.private_numbers()
    private = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
    return signing_key(1).jwk(**{name: integer(value) for name, value in private.items()})


def _jwk_with(member: str) -> Jwk:
    return one().jwk(**{member: "AQAB"})


@functools.cache
def small_key() -> SigningKey:
    """Return a key of 1024 bits."""
    return SigningKey("small", 1024)


def elliptic_key() -> Jwk:
    """Return a good key of another kind."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": integer(numbers.x), "y": integer(numbers.y)}


one = functools.partial(signing_key, 1)

BAD_KEYS: dict[str, Callable[[], object]] = {
    "RSA of 1024 bits": small_key().jwk,
    "elliptic curve": elliptic_key,
    "octets": lambda: {"kty": "oct", "k": b64url(b"secret" * 8)},
    "OKP": lambda: {"kty": "OKP", "crv": "Ed25519", "x": b64url(b"x" * 32)},
    "no kty": lambda: one().jwk(kty=None),
    "kty in lower case": lambda: one().jwk(kty="rsa"),
    "kty of another type": lambda: one().jwk(kty=["RSA"]),
    "for encryption": lambda: one().jwk(use="enc"),
    "for RS256": lambda: one().jwk(alg="RS256"),
    "for PS512": lambda: one().jwk(alg="PS512"),
    "for RSA-OAEP": lambda: one().jwk(alg="RSA-OAEP"),
    "alg of another type": lambda: one().jwk(alg=["RS512"]),
    "key_ops for signing alone": lambda: one().jwk(use=None, key_ops=["sign"]),
    "key_ops for encrypting": lambda: one().jwk(use=None, key_ops=["encrypt", "wrapKey"]),
    "key_ops empty": lambda: one().jwk(use=None, key_ops=[]),
    "key_ops string for another": lambda: one().jwk(use=None, key_ops="encrypt"),
    "private key published": published_private_key,
    **{
        f"private key published, {member} of it": functools.partial(_jwk_with, member)
        for member in ("d", "p", "q", "dp", "dq", "qi", "oth")
    },
    "no modulus": lambda: one().jwk(n=None),
    "no exponent": lambda: one().jwk(e=None),
    "modulus a number": lambda: one().jwk(n=modulus(one())),
    "exponent a number": lambda: one().jwk(e=65537),
    "modulus empty": lambda: one().jwk(n=""),
    "modulus garbage": lambda: one().jwk(n="!" * 342),
    "modulus not ASCII": lambda: one().jwk(n="é" * 342),
    "modulus enormous": lambda: one().jwk(n="z" * 100_000),
    "exponent one": lambda: one().jwk(e=integer(1)),
    "exponent nought": lambda: one().jwk(e="AA"),
    "exponent even": lambda: one().jwk(e=integer(65536)),
    "exponent enormous": lambda: one().jwk(e="z" * 100_000),
    "exponent of 33 bits": lambda: one().jwk(e=integer(2**32 + 1)),
    "modulus even": lambda: one().jwk(n=integer(modulus(one()) - 1)),
    "modulus a power of two": lambda: one().jwk(n=integer(1 << 2047)),
    "modulus of 8193 bits": lambda: one().jwk(n=integer((1 << 8192) + 1)),
    "modulus of 2047 bits": lambda: one().jwk(n=integer((1 << 2046) + 1)),
    "exponent larger than the modulus": lambda: one().jwk(e=integer(modulus(one()) + 2)),
    "null": lambda: None,
    "a string": lambda: "RSA",
    "a list": list,
    "an empty object": dict,
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_one_bad_key_spoils_no_other_and_does_not_count(name: str) -> None:
    """The good keys before and after it count, and it does not."""
    good, other = signing_key(0), signing_key(2)
    keys = parse_jwks({"keys": [good.jwk(), BAD_KEYS[name](), other.jwk()]})
    assert verifies(keys, good)
    assert verifies(keys, other)
    assert len(keys.keys) == 2
    assert len(keys.passed_over) == 1
    for unwanted in (one(), small_key()):
        assert not verifies(keys, unwanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": integer((1 << 2048) - 1)},
        {"n": integer((1 << 8192) - 1)},
        {"n": integer((1 << 2047) + 1)},
        {"e": integer(3)},
        {"e": integer(2**32 - 1)},
    ],
    ids=["2048 ones", "8192 ones", "2048 bits", "e of 3", "e of 32 bits"],
)
def test_the_bounds_of_a_key_are_inclusive(changes: Jwk) -> None:
    """Design, decisions: odd modulus of 2048 to 8192 bits, odd exponent of 3 to 2^32."""
    key_set = parse_jwks({"keys": [one().jwk(**changes), signing_key(0).jwk()]})
    assert len(key_set.keys) == 2
    assert key_set.passed_over == ()
    assert not verifies(key_set, one())
    assert verifies(key_set, signing_key(0))


def test_a_key_tells_its_size() -> None:
    """Whatever zeros stand in front of its numbers."""
    padded = one().jwk(n="AAAA" + integer(modulus(one())), e="AAAAAAAA" + integer(65537))
    key_set = parse_jwks({"keys": [padded]})
    assert [(key.kid, key.bits) for key in key_set.keys] == [("key-1", 2048)]
    assert " at 0x" not in repr(key_set)
    assert verifies(key_set, one())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alg": "RS256"}, "key 'key-1' is meant for 'RS256'; access tokens are signed with RS512"),
        ({"use": "enc"}, "key 'key-1' is meant for use 'enc', not for signatures"),
        ({"key_ops": ["sign"]}, "key 'key-1' is meant for key_ops ['sign'], not for verifying"),
        ({"kid": None, "kty": "EC"}, "key number 2 is not an RSA key"),
        ({"kid": "a\nb", "n": integer((1 << 2046) + 1)}, "key 'a\\nb' has 2047 bits"),
        ({"e": integer(2**32 + 1)}, "key 'key-1' has an exponent above 2^32"),
        ({"n": integer((1 << 8192) + 1)}, "key 'key-1' has 8193 bits, not 2048 to 8192"),
        ({"e": "A" * 13}, "key 'key-1' has an exponent above 2^32"),
        ({"n": "z" * 1374}, "key 'key-1' has more than 8192 bits"),
        ({"n": "!"}, "key 'key-1' has a modulus or an exponent that is not valid"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:30],
)
def test_why_a_key_is_passed_over(changes: Jwk, words: str) -> None:
    """In words that an operator can act on, with the key's name or its place in the set."""
    key_set = parse_jwks({"keys": [signing_key(0).jwk(), one().jwk(**changes)]})
    (told,) = key_set.passed_over
    assert told.startswith(words)


@pytest.mark.parametrize(
    "changes",
    [
        {"use": None},
        {"alg": None},
        {"kid": None},
        {"use": None, "alg": None, "kid": None},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"key_ops": "verify"},
        {"use": None, "key_ops": ["verify", "something new"]},
        {"kid": 7},
        {"kid": ""},
        {"x5c": ["MIIB"], "x5u": "https://evil.example.com/", "x5t": "x"},
        {"unheard_of": {"a": [1]}},
    ],
)
def test_members_that_a_good_key_may_have_or_lack(changes: Jwk) -> None:
    """RFC 7517 Section 4: members "MUST be ignored" where they are not understood."""
    key_set = parse_jwks({"keys": [signing_key(0).jwk(**changes)]})
    assert verifies(key_set, signing_key(0))
    kid = changes.get("kid", "key-0")
    assert key_set.keys[0].kid == (kid if isinstance(kid, str) else None)


@pytest.mark.parametrize("name", ["use", "alg", "kid", "key_ops", "x5c"])
def test_null_is_a_member_that_was_left_out(name: str) -> None:
    """Some servers write it so; a key without a modulus is none all the same."""
    written = {**signing_key(0).jwk(), name: None}
    assert verifies(parse_jwks({"keys": [written]}), signing_key(0))
    assert not parse_jwks({"keys": [{**written, "n": None}]}).keys


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_keys_of_at_least_2048_bits_count(bits: int) -> None:
    """Design, decisions: RSA, 2048 bits at least."""
    key = SigningKey(bits=bits)
    assert verifies(parse_jwks({"keys": [key.jwk()]}), key)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "keys",
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": {"0": {}}},
        {"keys": "keys"},
        {"Keys": []},
        {"keys": 1},
    ],
)
def test_what_is_no_key_set_is_refused_whole(document: object) -> None:
    """RFC 7517 Section 5: an object with an array `keys`. What is held must not be lost to it."""
    with pytest.raises(KeySetError):
        parse_jwks(document)


def test_a_set_without_usable_keys_is_a_key_set() -> None:
    """It says that there is no key, which is not a failure."""
    assert parse_jwks({"keys": []}) == KeySet(())
    assert parse_jwks({"keys": [{"kty": "EC"}], "more": True}).keys == ()


def test_a_set_of_many_keys_has_a_bound() -> None:
    """A server with more keys than any needs does not fill the memory, and it is told so."""
    base = modulus(signing_key(3))
    many: list[Jwk] = [signing_key(0).jwk()]
    many += [signing_key(3).jwk(n=integer(base + 2 * step), kid=str(step)) for step in range(500)]
    keys = parse_jwks({"keys": many})
    assert verifies(keys, signing_key(0))
    assert len(keys.keys) == 64
    assert keys.passed_over == ("437 keys after the first 64",)
    assert parse_jwks({"keys": many[:64]}).passed_over == ()


def test_the_same_key_twice_is_one() -> None:
    """Whatever it is called."""
    keys = parse_jwks({"keys": [signing_key(0).jwk(kid=str(each)) for each in range(5)]})
    assert len(keys.keys) == 1


def test_keys_with_one_kid_all_count() -> None:
    """RFC 7517 Section 4.5 lets keys share a `kid`."""
    keys = parse_jwks({"keys": [signing_key(each).jwk(kid="same") for each in range(3)]})
    assert [verifies(keys, signing_key(each)) for each in range(4)] == [True, True, True, False]


def test_a_signature_of_another_length_is_simply_wrong() -> None:
    """No exception comes of a signature that the key cannot have made."""
    (key,) = parse_jwks({"keys": [signing_key(0).jwk()]}).keys
    text = signing_key(0).sign(claims_of(ISSUER))
    head, _, signature = text.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for wrong in (raw[:-1], raw + b"\0", b"\0" + raw, b"\0", bytes(256), b"\xff" * 256, raw * 4):
        assert not key.verifies(parse_token(f"{head}.{b64url(wrong)}".encode()))
    assert key.verifies(parse_token(text.encode()))


def test_a_key_does_not_show_more_than_it_published() -> None:
    """Neither `repr` nor a log line of a published private key tells what is private."""
    private = str(published_private_key()["d"])
    keys = parse_jwks({"keys": [published_private_key(), signing_key(0).jwk()]})
    assert private not in repr(keys)


def test_a_published_private_key_is_not_told() -> None:
    """What is said is that a key is passed over, and never what it is."""
    (told,) = parse_jwks({"keys": [published_private_key()]}).passed_over
    for name in ("d", "p", "q", "n"):
        assert str(published_private_key()[name]) not in told
