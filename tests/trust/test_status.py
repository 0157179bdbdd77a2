"""What operators are told of one issuer, from what is known of it."""

from __future__ import annotations

import pytest

from nmos_auth import Settings
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.status import IssuerStatus, KeyStatus, TrustStatus, status_of
from tests.support.tokens import signing_key

ISSUER = "https://auth.example.com"


def issuer_of(source: Source) -> Issuer:
    """Return an issuer that nothing is known of yet."""
    settings = Settings(audience="node1.example.com", servers=ISSUER)
    return Membership(settings, {}, max, now=0).new(ISSUER, source)


def test_before_the_first_fetch() -> None:
    """It is due, and nothing is known."""
    status = status_of(issuer_of(Source.SERVERS), 1000)
    assert status == IssuerStatus(
        url=ISSUER,
        source=Source.SERVERS,
        keys=(),
        is_fetching=False,
        next_fetch=0,
        since_fetch=None,
        failures=0,
        error=None,
        clock_offset=None,
    )
    assert not TrustStatus((status,), is_settled=True).has_keys


def test_while_it_is_fetched_nobody_knows_when_it_is_next() -> None:
    """Nor is there a next time for one that is never asked."""
    issuer = issuer_of(Source.SERVERS)
    issuer.schedule.begin(1, 1000)
    status = status_of(issuer, 1000)
    assert (status.is_fetching, status.next_fetch) == (True, None)
    status = status_of(issuer_of(Source.STATIC_KEYS), 1000)
    assert (status.is_fetching, status.next_fetch) == (False, None)


def test_after_a_fetch() -> None:
    """Its keys with their ages, when it was and will be, and how far its clock is off."""
    issuer = issuer_of(Source.SERVERS)
    issuer.hold(parse_jwks({"keys": [signing_key(0).jwk()]}).keys, 1000)
    issuer.schedule.begin(1, 1000)
    issuer.schedule.succeeded(1001)
    issuer.last_fetch, issuer.clock_offset, issuer.error = LastFetch(1, 1000, None), 2.5, "trouble"
    issuer.schedule.failures = 3
    status = status_of(issuer, 1101)
    assert status.keys == (KeyStatus("key-0", 2048, 101),)
    assert status.next_fetch == pytest.approx(3600 + 60 - 100)
    assert status.since_fetch == 101
    assert (status.failures, status.error, status.clock_offset) == (3, "trouble", 2.5)
    assert TrustStatus((status_of(issuer_of(Source.SERVERS), 0), status), is_settled=True).has_keys
