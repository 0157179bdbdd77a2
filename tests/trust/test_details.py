"""Why a token's issuer or key did not do, in words for the audit log."""

from __future__ import annotations

import random

import pytest

from nmos_auth import Settings
from nmos_auth.errors import Detail
from nmos_auth.rules.tokens import parse_token
from nmos_auth.trust.details import clock_detail, lacking_key, unknown_issuer
from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.membership import Membership
from tests.support.tokens import claims_of, signing_key

ISSUER = "https://auth.example.com"
OTHER = "https://other.example.com"


@pytest.fixture
def members() -> Membership:
    """Return two trusted issuers."""
    settings = Settings(audience="node1.example.com", servers=f"{ISSUER},{OTHER}")
    return Membership(settings, {}, random.uniform, now=0)


@pytest.fixture
def issuer(members: Membership) -> Issuer:
    """Return the first of them."""
    found = members.get(ISSUER)
    assert found is not None
    return found


def test_an_unknown_issuer_is_named_beside_the_known(members: Membership) -> None:
    """So that a slash at the end, or another name of the same server, is seen."""
    members.admit(members.new(f"{ISSUER}:8443", Source.SAME_HOST))
    assert str(unknown_issuer(f"{ISSUER}/", members)) == (
        f"iss is '{ISSUER}/', and the trusted issuers are '{ISSUER}', '{OTHER}'"
    )


def test_a_missing_key_is_named_beside_those_held(issuer: Issuer) -> None:
    """With what went wrong when the server was asked last."""
    signed = parse_token(signing_key(2).sign(claims_of(ISSUER)).encode())
    issuer.hold(parse_jwks({"keys": [signing_key(0).jwk(), signing_key(1).jwk(kid=None)]}).keys, 0)
    said = f"the token's kid is 'key-2', and '{ISSUER}' has the keys 'key-0', 'a key without kid'"
    assert str(lacking_key(issuer, signed)) == said
    issuer.error = "it answered 503"
    assert (
        str(lacking_key(issuer, signed)) == f"{said}; the last fetch gave none: 'it answered 503'"
    )


def test_of_keys_of_a_file_it_is_told_where_they_are(members: Membership) -> None:
    """Nobody is asked for more."""
    static = members.new(ISSUER, Source.STATIC_KEYS)
    signed = parse_token(signing_key(2).sign(claims_of(ISSUER)).encode())
    assert str(lacking_key(static, signed)) == (
        f"the token's kid is 'key-2', and '{ISSUER}' has the keys nothing;"
        " they stand in NMOS_AUTH_STATIC_KEYS_FILE"
    )


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (None, "exp was 5 s ago"),
        (1.9, "exp was 5 s ago"),
        (-1.9, "exp was 5 s ago"),
        (2.0, "exp was 5 s ago; the issuer's clock is 2 s ahead of this server's"),
        (7.26, "exp was 5 s ago; the issuer's clock is 7.3 s ahead of this server's"),
        (-7.26, "exp was 5 s ago; the issuer's clock is 7.3 s behind this server's"),
    ],
)
def test_a_clock_that_is_off_is_named(issuer: Issuer, offset: float | None, said: str) -> None:
    """Where the token's time is what is wrong."""
    issuer.clock_offset = offset
    assert str(clock_detail(Detail.of("exp was {} s ago", 5), issuer)) == said
    assert clock_detail(None, issuer) is None
    assert str(clock_detail(Detail.of("x"), None)) == "x"
